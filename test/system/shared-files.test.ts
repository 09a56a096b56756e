/** Two gateways on one PostgreSQL and one bucket, and what was copied between them is the authority alone: what one of them has, the other has. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { cpSync, existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, until, untilModel, type Gateway } from '../support/postern.ts';
import { cannotRunPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { needsS3, startS3Server, type S3Server } from '../support/s3-server.ts';

const skip = cannotRunPostgres() || needsS3();
/** What both are reached by, and what the addresses of files begin with, whichever gateway makes them. */
const PUBLIC_URL = 'http://postern.test';

interface FileBody {
  readonly id: string;
  readonly size: number;
  readonly urls: { readonly get: string; readonly download: string };
}

void suite('two gateways that share everything', { skip, timeout: 280_000 }, () => {
  let postgres: TestPostgres;
  let server: S3Server;
  let system: PosternSystem;
  let bucket: string;
  let one: Gateway;
  let two: Gateway;
  const ofSecond = (): Record<string, string> => ({ POSTERN_DATA_DIR: join(system.folder, 'second') });

  before(async () => {
    [postgres, server] = await Promise.all([startPostgres(), startS3Server()]);
    ({ bucket } = await server.newBucket('prod'));
    system = new PosternSystem({
      env: {
        ...server.env,
        DATABASE_URL: postgres.tcpUrlOf(await postgres.createDatabase()),
        BLOB_URL: `s3://${bucket}/prod`,
        POSTERN_S3_ENDPOINT: server.endpoint,
        POSTERN_S3_PATH_STYLE: '1',
        POSTERN_PUBLIC_URL: PUBLIC_URL,
      },
    });
    one = await system.gateway();
    for (const file of ['ca.key', 'ca.pem']) {
      cpSync(join(system.folder, 'gateway', 'identity', file), join(system.folder, 'second', 'identity', file));
    }
    two = await system.gateway({}, { env: ofSecond() });
    system.worker(one, system.join(one, 'gpu-1'));
    await untilModel(one.url, 'echo');
    await until('the second gateway to know the model', 60_000, async () =>
      (await (await fetch(`${two.url}/v1/models`)).text()).includes('"echo"') ? true : null,
    );
  });
  after(async () => {
    await system.remove();
    await Promise.all([postgres.remove(), server.stop()]);
  });

  const at = (gateway: Gateway, url: string): string => url.replace(PUBLIC_URL, gateway.url);
  /** `<digest>/<stamp>` of what uploaded files are kept in. */
  const objects = (): string[] => {
    const root = join(server.folderOf(bucket), 'prod', 'files', 'blobs');
    const found = existsSync(root) ? readdirSync(root, { recursive: true, withFileTypes: true }) : [];
    return found.filter((one) => one.isFile()).map((one) => relative(root, join(one.parentPath, one.name)));
  };
  async function upload(gateway: Gateway, content: Uint8Array<ArrayBuffer>): Promise<FileBody> {
    const headers = { 'content-type': 'application/octet-stream' };
    const response = await fetch(`${gateway.url}/v1/files`, { method: 'POST', headers, body: content });
    assert.equal(response.status, 201, await response.clone().text());
    return (await response.json()) as FileBody;
  }
  const bytesAt = async (gateway: Gateway, { urls }: FileBody): Promise<Buffer> =>
    Buffer.from(await (await fetch(at(gateway, urls.download))).arrayBuffer());

  void test('a file that one took is found, listed, read, used and deleted at the other', async () => {
    assert.equal('local' in ((await (await fetch(`${two.url}/readyz`)).json()) as object), false);
    const content = randomBytes(300_000);
    const file = await upload(one, content);
    assert.deepEqual(await (await fetch(at(two, file.urls.get))).json(), file);
    const { results } = (await (await fetch(`${two.url}/v1/files`)).json()) as { results: FileBody[] };
    assert.deepEqual(results, [file]);
    assert.ok(content.equals(await bytesAt(two, file)));

    const response = await fetch(`${two.url}/v1/models/local/echo/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=60' },
      body: JSON.stringify({ input: { file: file.urls.get } }),
    });
    const prediction = (await response.json()) as Prediction;
    assert.equal(prediction.status, 'succeeded', JSON.stringify(prediction));
    const output = await (await fetch(`${one.url}/v1/predictions/${prediction.id}/output`)).arrayBuffer();
    assert.ok(content.equals(Buffer.from(output)));

    assert.equal((await fetch(at(two, file.urls.get), { method: 'DELETE' })).status, 204);
    assert.equal((await fetch(at(one, file.urls.get))).status, 404);
    assert.equal((await fetch(at(one, file.urls.download))).status, 404);
    for (const folder of ['gateway', 'second']) {
      assert.equal(existsSync(join(system.folder, folder, 'files')), false, 'nothing of it is in a data folder');
      assert.equal(existsSync(join(system.folder, folder, 'files.sqlite')), false);
    }
  });

  void test('one blob for two files of the same content, which each can read until the last of them is deleted', async () => {
    const before = objects();
    const content = Buffer.from('the same photo');
    // One after the other: puts of the very same moment may leave a copy too many until the blob is removed (src/blobs/s3.ts).
    const first = await upload(one, content);
    const second = await upload(two, content);
    assert.notEqual(first.id, second.id);
    const name = createHash('sha256').update(content).digest('hex');
    const isOne = (): Promise<true | null> => {
      const made = objects().filter((object) => !before.includes(object));
      return Promise.resolve(made.length === 1 && made[0]!.startsWith(`${name}/`) ? true : null);
    };
    // A put takes the copies of earlier ones away a moment later.
    await until('that one object to be left', 30_000, isOne);
    assert.equal((await fetch(at(one, second.urls.get), { method: 'DELETE' })).status, 204);
    for (const gateway of [one, two]) {
      assert.equal((await fetch(at(gateway, second.urls.download))).status, 404);
      assert.ok(content.equals(await bytesAt(gateway, first)));
    }
    assert.equal(await isOne(), true);
    assert.equal((await fetch(at(two, first.urls.get), { method: 'DELETE' })).status, 204);
    for (const gateway of [one, two]) assert.equal((await fetch(at(gateway, first.urls.download))).status, 404);
  });

  void test('new secrets of webhooks count at both, on whichever machine they were made', async () => {
    const secretAt = async ({ url }: Gateway): Promise<string> =>
      ((await (await fetch(`${url}/v1/webhooks/default/secret`)).json()) as { key: string }).key;
    const before = await secretAt(one);
    assert.equal(await secretAt(two), before);
    system.command('gateway', ['webhooks', 'rotate'], ofSecond());
    const after = system.command('gateway', ['webhooks', 'secret']).trim();
    assert.notEqual(after, before);
    for (const gateway of [one, two]) {
      await until('the new secret', 30_000, async () => ((await secretAt(gateway)) === after ? true : null));
    }
    for (const folder of ['gateway', 'second']) {
      assert.equal(existsSync(join(system.folder, folder, 'identity', 'webhook-keys.json')), false);
    }
  });

  void test('what a caller may keep is counted over both', async () => {
    const made = JSON.parse(system.command('gateway', ['keys', 'create', 'ana', '--json'])) as { key: string };
    const authorization = `Bearer ${made.key}`;
    for (const gateway of [one, two]) {
      await until('the key to be known', 30_000, async () =>
        (await fetch(`${gateway.url}/v1/files`)).status === 401 ? true : null,
      );
    }
    const MIB = 1024 * 1024;
    const SIZE = 18 * MIB;
    const headers = { authorization, 'content-type': 'application/octet-stream' };
    // 256 MiB: fourteen of these, whoever takes them.
    const answers = await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        const gateway = n % 2 === 0 ? one : two;
        for (;;) {
          const body = Buffer.alloc(SIZE, n);
          const response = await fetch(`${gateway.url}/v1/files`, { method: 'POST', headers, body });
          const text = await response.text();
          // Bodies in memory are bounded too: that one is tried again.
          if (!text.includes('"overloaded"')) return response.status === 201 ? 'taken' : text;
        }
      }),
    );
    assert.equal(answers.filter((answer) => answer === 'taken').length, 14, answers.join('\n'));
    assert.equal(answers.filter((answer) => answer.includes('file_quota_exceeded')).length, 2);
  });
});
