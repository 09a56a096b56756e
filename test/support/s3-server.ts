/**
 * A real server that speaks S3 (versitygw, Apache 2.0, built from its source by `scripts/s3_server.sh`) over a folder that is
 * removed afterwards. It checks signatures, policies of forms and conditions as S3 does. One is enough for a test file.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { S3Place } from '../../src/blobs/s3-client.ts';
import { lacking } from './needs.ts';

const PROGRAM = new URL('../../.cache/bin/versitygw', import.meta.url).pathname;
const ACCESS_KEY = 'test-access-key';
const SECRET_KEY = 'test-secret-key-of-this-test-alone';
const START_MS = 60_000;

export interface S3Server {
  readonly endpoint: string;
  /** Where the SDK looks for credentials; for child processes. */
  readonly env: Readonly<Record<string, string>>;
  /** The folder in which a bucket's objects lie as files. */
  folderOf(bucket: string): string;
  /** Makes a new bucket, and says where it is. */
  newBucket(prefix?: string): Promise<S3Place>;
  stop(): Promise<void>;
}

/** What node:test takes as `skip`. */
export const needsS3 = (): false | string =>
  existsSync(PROGRAM) ? false : lacking('versitygw is not built (bash scripts/s3_server.sh builds it, with Go)');

/** Gives this process its credentials too, as a user would: by the environment. */
export async function startS3Server(): Promise<S3Server> {
  const root = await mkdtemp(join(tmpdir(), 'postern-s3-'));
  const data = join(root, 'data');
  await mkdir(data);
  await mkdir(join(root, 'meta'));
  const port = await freePort();
  const child = spawn(
    PROGRAM,
    ['--quiet', '--keep-alive', '--port', `127.0.0.1:${port}`, 'posix', '--sidecar', join(root, 'meta'), data],
    { env: { PATH: process.env.PATH, ROOT_ACCESS_KEY: ACCESS_KEY, ROOT_SECRET_KEY: SECRET_KEY }, stdio: 'pipe' },
  );
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-8_000)));
  }
  const ended = once(child, 'close');
  const endpoint = `http://127.0.0.1:${port}`;
  for (const until = performance.now() + START_MS; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    if (child.exitCode !== null || performance.now() > until) throw new Error(`versitygw did not start:\n${log}`);
    if (
      await fetch(endpoint).then(
        () => true,
        () => false,
      )
    )
      break;
  }
  const env = { AWS_ACCESS_KEY_ID: ACCESS_KEY, AWS_SECRET_ACCESS_KEY: SECRET_KEY, AWS_EC2_METADATA_DISABLED: 'true' };
  Object.assign(process.env, env);
  let buckets = 0;
  return {
    endpoint,
    env,
    folderOf: (bucket) => join(data, bucket),
    async newBucket(prefix = 'some/prefix') {
      buckets += 1;
      const bucket = `bucket-${buckets}`;
      await mkdir(join(data, bucket));
      return { bucket, prefix, endpoint, region: null, pathStyle: true };
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
