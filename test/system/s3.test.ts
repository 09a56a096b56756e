/** Payloads of jobs in a real S3 server: they outlive a killed gateway, are backed up, and go when no job names them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, untilModel, type Gateway } from '../support/postern.ts';
import { needsS3, startS3Server, type S3Server } from '../support/s3-server.ts';

const skip = needsS3();

suite('large payloads in S3', { skip, timeout: 120_000 }, () => {
  let server: S3Server;
  let bucket: string;
  let system: PosternSystem;
  let gateway: Gateway;

  before(async () => {
    server = await startS3Server();
    const place = await server.newBucket('prod');
    bucket = place.bucket;
    system = new PosternSystem({
      env: {
        ...server.env,
        BLOB_URL: `s3://${bucket}/prod`,
        POSTERN_S3_ENDPOINT: server.endpoint,
        POSTERN_S3_PATH_STYLE: '1',
      },
    });
    gateway = await system.gateway();
  });
  after(async () => {
    await system.remove();
    await server.stop();
  });

  const stored = async (): Promise<string[]> =>
    (await readdir(join(server.folderOf(bucket), 'prod', 'blobs')).catch(() => [])).sort();

  async function submit(bytes: Buffer<ArrayBuffer>): Promise<string> {
    const response = await fetch(`${gateway.url}/v1/models/local/echo/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: bytes,
    });
    assert.equal(response.status, 202);
    return ((await response.json()) as Prediction).id;
  }
  const output = async (id: string): Promise<Buffer> => {
    const read = await fetch(`${gateway.url}/v1/predictions/${id}?wait=60`);
    const prediction = (await read.json()) as Prediction;
    assert.equal(prediction.status, 'succeeded', JSON.stringify(prediction).slice(0, 500));
    return Buffer.from(await (await fetch(`${gateway.url}/v1/predictions/${id}/output`)).arrayBuffer());
  };

  test('a job outlives the gateway that took it, and its bytes come back as they were', async () => {
    const bytes = randomBytes(3_000_000);
    const worker = system.worker(gateway, system.issue('gpu-1'));
    await untilModel(gateway.url, 'echo');
    await worker.kill();
    const id = await submit(bytes);
    assert.equal((await stored()).length, 1, 'the input is in the bucket before the id is handed out');
    await gateway.kill();
    const { httpPort, tunnelPort } = gateway;
    gateway = await system.gateway({ httpPort, tunnelPort });
    system.worker(gateway, join(system.folder, 'gpu-1'));
    assert.ok(bytes.equals(await output(id)));
    assert.equal(existsSync(join(system.folder, 'gateway', 'blobs')), false, 'nothing of it is in the data folder');
  });

  test('a backup fetches the payloads from the bucket', async () => {
    const folder = join(system.folder, 'backup');
    assert.match(system.command('gateway', ['backup', folder]), /Backup with [1-9]\d* large payloads/);
    const blobs = await readdir(join(folder, 'blobs'), { recursive: true });
    const [name = 'none'] = await stored();
    assert.ok(blobs.some((path) => path.endsWith(name)));
  });

  test('a gateway whose bucket is not there says so, and does not start', async () => {
    await assert.rejects(system.gateway({}, { env: { BLOB_URL: 's3://nobody-made-it' } }), /there is no bucket/);
  });
});
