/** Models between machines by the command line, as a person moves them: S3, https, killed half-way and taken up again. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { startModelWeb, type ModelWeb } from '../support/model-web.ts';
import { until } from '../support/postern.ts';
import { openProxy } from '../support/proxy.ts';
import { needsS3, startS3Server, type S3Server } from '../support/s3-server.ts';
import { makeWebCertificate } from '../support/web-server.ts';

const PROGRAM = new URL('../../bin/postern.mjs', import.meta.url).pathname;
const PART_BYTES = 16 * 1024 * 1024;
/** Two whole parts, and one that is not. */
const WEIGHTS_BYTES = 2 * PART_BYTES + 10_000_001;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

suite('models move between machines', { timeout: 240_000 }, () => {
  let root: string;
  let here: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'postern-models-'));
    here = join(root, 'here');
    await mkdir(join(here, 'big', '7'), { recursive: true });
    await writeFile(
      join(here, 'big', '7', 'postern.yaml'),
      'postern: 1\nname: big\nversion: "7"\nkind: echo\nrunner: echo\n',
    );
    await writeFile(join(here, 'big', '7', 'weights.bin'), randomBytes(WEIGHTS_BYTES));
  });
  after(() => rm(root, { recursive: true, force: true }));

  function start(args: readonly string[], modelsDir: string, env: Readonly<Record<string, string>> = {}) {
    const child = spawn(process.execPath, [PROGRAM, 'models', ...args], {
      env: { ...process.env, POSTERN_MODELS_DIR: modelsDir, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended: Promise<Ended> = once(child, 'close').then(() => ({ code: child.exitCode, stdout, stderr }));
    return { child, ended };
  }
  async function run(...call: Parameters<typeof start>): Promise<Record<string, never>> {
    const [args, ...rest] = call;
    const { code, stdout, stderr } = await start([...args, '--json'], ...rest).ended;
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Record<string, never>;
  }
  async function kill({ child, ended }: ReturnType<typeof start>): Promise<void> {
    child.kill('SIGKILL');
    await ended;
  }
  const pulledOnce = async (
    address: string,
    to: string,
    env = {},
    more: string[] = [],
  ): Promise<{ fetched_bytes: number }> => {
    const { models } = await run(['pull', address, 'big@7', ...more], to, env);
    const [one] = models as unknown as { fetched_bytes: number; bytes: number }[];
    assert.ok(one);
    const weights = (folder: string): Promise<Buffer> => readFile(join(folder, 'big', '7', 'weights.bin'));
    assert.ok((await weights(here)).equals(await weights(to)), 'byte for byte');
    assert.deepEqual(await readdir(join(to, 'big')), ['7'], 'nothing is left beside it');
    return one;
  };
  const partial = (to: string): Promise<number> =>
    stat(join(to, 'big', '.pull-7', 'weights.bin')).then(
      (info) => info.size,
      () => 0,
    );

  suite('over S3', { skip: needsS3() }, () => {
    let server: S3Server;
    let address: string;
    let env: Record<string, string>;
    before(async () => {
      server = await startS3Server();
      const { bucket } = await server.newBucket('models');
      address = `s3://${bucket}/models`;
      env = { ...server.env, POSTERN_S3_ENDPOINT: server.endpoint, POSTERN_S3_PATH_STYLE: '1' };
    });
    after(() => server.stop());

    /** The same server over a slow line. */
    async function slowly(bytesPerSecond: number, work: (env: Record<string, string>) => Promise<void>): Promise<void> {
      const proxy = await openProxy(Number(new URL(server.endpoint).port));
      proxy.onConnection = (relayed) => relayed.throttle(bytesPerSecond);
      try {
        await work({ ...env, POSTERN_S3_ENDPOINT: `http://127.0.0.1:${proxy.port}` });
      } finally {
        await proxy.close();
      }
    }
    async function partsThere(): Promise<number> {
      const sdk = await import('@aws-sdk/client-s3');
      const client = new sdk.S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true });
      try {
        const Bucket = new URL(address).hostname;
        const [upload] = (await client.send(new sdk.ListMultipartUploadsCommand({ Bucket }))).Uploads ?? [];
        if (upload === undefined) return 0;
        const { Key, UploadId } = upload;
        const { Parts = [] } = await client.send(new sdk.ListPartsCommand({ Bucket, Key, UploadId }));
        return Parts.filter(({ Size }) => Size === PART_BYTES).length;
      } finally {
        client.destroy();
      }
    }

    test('a push that is killed half-way goes on with the parts that are missing', async () => {
      await slowly(20_000_000, async (slow) => {
        const first = start(['push', address, 'big@7'], here, slow);
        await until('a part to be there', 60_000, async () => ((await partsThere()) > 0 ? true : null));
        await kill(first);
      });
      const nothing = await start(['pull', address, 'big'], join(root, 'early'), env).ended;
      assert.equal(nothing.code, 1, 'nothing is published yet');
      assert.match(nothing.stderr, /there is no version of big/);
      const pushed = await run(['push', address, 'big'], here, env);
      assert.ok(Number(pushed.sent_bytes) < WEIGHTS_BYTES, `sent ${String(pushed.sent_bytes)}`);
      assert.equal((await run(['push', address, 'big'], here, env)).sent_bytes, 0);
    });

    test('a pull that is killed half-way goes on where it stood', async () => {
      const to = join(root, 'from-s3');
      await slowly(10_000_000, async (slow) => {
        const first = start(['pull', address, 'big@7'], to, slow);
        await until('a part of the file', 60_000, async () => ((await partial(to)) > 1_000_000 ? true : null));
        await kill(first);
      });
      const had = await partial(to);
      assert.ok(had > 0 && had < WEIGHTS_BYTES);
      const { fetched_bytes } = await pulledOnce(address, to, env);
      assert.ok(fetched_bytes <= WEIGHTS_BYTES - had + 200, `fetched ${fetched_bytes} although ${had} were there`);
    });

    test('without a name everything is pulled, as a new machine does', async () => {
      const to = join(root, 'new-machine');
      const { models } = await run(['pull', address], to, env);
      assert.equal((models as unknown as unknown[]).length, 1);
      assert.ok(await stat(join(to, 'big', '7', 'weights.bin')));
    });
  });

  test('over https: signed, killed half-way and taken up again', async () => {
    const store = join(root, 'www');
    await mkdir(store);
    const key = join(root, 'team.key');
    assert.equal((await start(['keygen', key], here).ended).code, 0);
    await run(['push', store, 'big@7', '--sign-key', key], here);
    const { ca, tls } = await makeWebCertificate('localhost');
    await writeFile(join(root, 'ca.pem'), ca);
    const trusting = { NODE_EXTRA_CA_CERTS: join(root, 'ca.pem') };
    const web: ModelWeb = await startModelWeb(store, tls);
    try {
      const to = join(root, 'from-web');
      const distrusting = await start(['pull', web.url, 'big@7'], to).ended;
      assert.equal(distrusting.code, 1);
      const held = new Promise<void>((resolve) => {
        web.faults.push({ type: 'hold', afterBytes: 20_000_000, held: resolve });
      });
      const first = start(['pull', web.url, 'big@7', '--verify-key', `${key}.pub`], to, trusting);
      await held;
      await until('a part of the file', 60_000, async () => ((await partial(to)) > 1_000_000 ? true : null));
      await kill(first);
      const had = await partial(to);
      await pulledOnce(web.url, to, trusting, ['--verify-key', `${key}.pub`]);
      const ranges = web.asked.filter(({ range }) => range !== null);
      assert.deepEqual(
        ranges.map(({ range }) => range),
        [`bytes=${had}-`],
      );
    } finally {
      await web.stop();
    }
  });

  test('a place that cannot be listed, and a model that is not there, are said in one line', async () => {
    const web = await startModelWeb(root);
    try {
      const unlisted = await start(['pull', web.url, 'big'], here).ended;
      assert.equal(unlisted.code, 2);
      assert.match(unlisted.stderr, /^postern: .* cannot be listed: say which version, like plants@2\n$/);
      const missing = await start(['pull', web.url, 'big@99'], here).ended;
      assert.equal(missing.code, 1);
      assert.match(missing.stderr, /^postern: there is no big@99 at http:\/\/127\.0\.0\.1:\d+\n$/);
    } finally {
      await web.stop();
    }
  });
});
