import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../clock.ts';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { openIdentity } from './identity.ts';
import { readWorkerIdentity, writeWorkerIdentity } from './worker.ts';

const DAY_MS = 86_400_000;

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-identity-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'identity');
}

const open = (folder: string, hosts: readonly string[] = [], clock: Clock = systemClock) =>
  openIdentity({ folder, hosts, clock });

const isConfigInvalid = (words: RegExp) => (error: unknown) =>
  error instanceof PosternError && error.code === 'config_invalid' && words.test(error.message);

void test('the first start makes an authority and a gateway certificate, and leaves nothing half-written', async (t) => {
  const folder = await makeFolder(t);
  const identity = await open(folder, ['gateway.example', '192.0.2.7']);
  assert.deepEqual((await readdir(folder)).sort(), ['ca.key', 'ca.pem', 'gateway.key', 'gateway.pem']);
  for (const key of ['ca.key', 'gateway.key']) assert.equal((await stat(join(folder, key))).mode & 0o777, 0o600);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);

  const certificate = new X509Certificate(identity.gateway.certPem);
  assert.ok(certificate.verify(new X509Certificate(identity.caPem).publicKey));
  for (const host of ['localhost', 'postern-gateway', 'gateway.example']) assert.ok(certificate.checkHost(host), host);
  for (const address of ['127.0.0.1', '::1', '192.0.2.7']) assert.ok(certificate.checkIP(address), address);
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
});

void test('a second start uses what is there', async (t) => {
  const folder = await makeFolder(t);
  const [first, second] = [await open(folder), await open(folder)];
  assert.equal(second.caPem, first.caPem);
  assert.equal(second.gateway.certPem, first.gateway.certPem);
});

void test('two first starts at the same moment agree on one authority', async (t) => {
  const folder = await makeFolder(t);
  const [a, b] = await Promise.all([open(folder), open(folder)]);
  const keyOf = (pem: string) => new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'pem' });
  assert.equal(keyOf(a.caPem), keyOf(b.caPem));
});

void test('a new host name, or a certificate near its end, gives a new gateway certificate from the same authority', async (t) => {
  const folder = await makeFolder(t);
  const first = await open(folder);
  const named = await open(folder, ['gateway.example']);
  assert.notEqual(named.gateway.certPem, first.gateway.certPem);
  assert.equal(named.caPem, first.caPem);
  const later: Clock = { ...systemClock, now: () => Date.now() + 300 * DAY_MS };
  const renewed = await open(folder, ['gateway.example'], later);
  assert.ok(new X509Certificate(renewed.gateway.certPem).validToDate.getTime() > later.now() + 364 * DAY_MS);
});

void test('a crash between the key and its certificate is made good without changing the key', async (t) => {
  const folder = await makeFolder(t);
  const first = await open(folder);
  const worker = await first.issueWorker('gpu-1', DAY_MS);
  await rm(join(folder, 'ca.pem'));
  const second = await open(folder);
  assert.ok(new X509Certificate(worker.certPem).verify(new X509Certificate(second.caPem).publicKey));
});

void test('a broken authority is refused with what to do, and never replaced', async (t) => {
  const folder = await makeFolder(t);
  const other = join(folder, 'other');
  await open(folder);
  await open(other);
  const key = await readFile(join(folder, 'ca.key'), 'utf8');

  await writeFile(join(folder, 'ca.key'), await readFile(join(other, 'ca.key')));
  await assert.rejects(open(folder), isConfigInvalid(/not the certificate of ca\.key.*restore/));
  await writeFile(join(folder, 'ca.key'), 'garbage');
  await assert.rejects(open(folder), isConfigInvalid(/cannot be read.*restore/));
  await rm(join(folder, 'ca.key'));
  await assert.rejects(open(folder), isConfigInvalid(/is not: restore the key/));
  await writeFile(join(folder, 'ca.key'), key, { mode: 0o600 });
  await chmod(join(folder, 'ca.key'), 0o644);
  await assert.rejects(open(folder), isConfigInvalid(/mode 644, expected 600: run chmod 600/));
  await chmod(join(folder, 'ca.key'), 0o600);
  const muchLater: Clock = { ...systemClock, now: () => Date.now() + 4_000 * DAY_MS };
  await assert.rejects(open(folder, [], muchLater), isConfigInvalid(/ended on/));
  await open(folder);
});

void test('a worker certificate names the worker, serves as a client only, and is dated back one minute', async (t) => {
  const identity = await open(await makeFolder(t));
  const before = Date.now();
  const certificate = new X509Certificate((await identity.issueWorker('gpu-1', DAY_MS)).certPem);
  assert.equal(certificate.subjectAltName, 'URI:postern://worker/gpu-1');
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2']);
  assert.equal(certificate.ca, false);
  // X.509 times are whole seconds, rounded down.
  assert.ok(Math.abs(certificate.validFromDate.getTime() - (before - 60_000)) <= 2_000);
  assert.ok(Math.abs(certificate.validToDate.getTime() - (before + DAY_MS)) <= 2_000);
  for (const name of ['', 'GPU', 'a/b', 'a.b', '-a', 'a'.repeat(64), 'a\n']) {
    await assert.rejects(identity.issueWorker(name, DAY_MS), isConfigInvalid(/worker name/), name);
  }
});

void test('a worker reads its identity back, and is told what is wrong with a broken one', async (t) => {
  const folder = await makeFolder(t);
  const home = join(folder, 'gpu-1');
  const identity = await open(folder);
  await assert.rejects(readWorkerIdentity(home), isConfigInvalid(/is missing/));
  const made = await identity.issueWorker('gpu-1', DAY_MS);
  await writeWorkerIdentity(home, { ...made, caPem: identity.caPem });
  const read = await readWorkerIdentity(home);
  assert.equal(read.name, 'gpu-1');
  assert.equal(read.keyPem, made.keyPem);

  await writeWorkerIdentity(home, { ...made, caPem: (await open(join(folder, 'other'))).caPem });
  await assert.rejects(readWorkerIdentity(home), isConfigInvalid(/not signed by the authority/));
  const { keyPem } = await identity.issueWorker('gpu-2', DAY_MS);
  await writeWorkerIdentity(home, { keyPem, certPem: made.certPem, caPem: identity.caPem });
  await assert.rejects(readWorkerIdentity(home), isConfigInvalid(/not the certificate of worker\.key/));
  await writeWorkerIdentity(home, { ...identity.gateway, caPem: identity.caPem });
  await assert.rejects(readWorkerIdentity(home), isConfigInvalid(/postern:\/\/worker/));
  await writeWorkerIdentity(home, { ...made, certPem: 'garbage', caPem: identity.caPem });
  await assert.rejects(readWorkerIdentity(home), isConfigInvalid(/not valid PEM/));
});
