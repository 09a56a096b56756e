/** How a worker's certificate stays valid, against a real gateway's records: after a long sleep, on a disk that keeps nothing, with two processes in one folder. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DAY_MS, openIdentityScene, type IdentityScene } from '../../test/support/identity-scene.ts';
import { createJournal } from '../../test/support/journal.ts';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { systemClock, type Clock } from '../clock.ts';
import { createWorkerListener } from '../gateway/listener.ts';
import type { SessionEvents } from '../gateway/worker-ports.ts';
import { readWorkerIdentity, writeWorkerIdentity } from '../identity/worker.ts';
import type { TunnelIdentityOptions } from '../identity/tunnel-identity.ts';
import { silentLogger, type Logger } from '../logger.ts';
import type { MessageOf } from '../protocol/messages.ts';
import { createCredentials } from './credentials.ts';
import { OWN_GATEWAY } from './dial.ts';

/** A gateway of this scene, and the folder of a worker that joined it when its clock was `aheadMs` ahead of the real one. */
async function setup(t: TestContext, aheadMs: number, options: Partial<TunnelIdentityOptions> = {}) {
  const scene = await openIdentityScene(options);
  const folder = await mkdtemp(join(tmpdir(), 'postern-credentials-'));
  scene.clock.aheadMs = aheadMs;
  const { keyPem, certPem } = await scene.join('gpu-1');
  scene.clock.aheadMs = 0;
  const caPem = scene.identity.tls.trustPems.join('');
  await writeWorkerIdentity(folder, { keyPem, certPem, caPem, joinedAt: '127.0.0.1:1' });
  const listener = createWorkerListener({
    config: { host: '127.0.0.1', port: 0, gateway: 'test', leaseMs: 30_000 },
    identity: scene.identity,
    events: new Proxy({} as SessionEvents, { get: () => () => undefined }),
    logger: silentLogger,
    clock: systemClock,
  });
  await listener.start();
  t.after(async () => {
    await listener.stop();
    await scene.close();
    await rm(folder, { recursive: true });
  });
  return { scene, folder, port: listener.port, certPem };
}

/** The credentials of one process, with a journal of what it warned of and of what it asked in its session. */
async function openProcess(folder: string, port: number, clock: Clock = systemClock) {
  const warnings = createJournal<{ message: string; code: unknown }>();
  const asked = createJournal<MessageOf<'renew'>>();
  const logger: Logger = {
    ...silentLogger,
    warn: (message, fields) => warnings.add({ message, code: fields?.code }),
    child: () => logger,
  };
  const credentials = createCredentials({
    folder,
    identity: await readWorkerIdentity(folder),
    targets: [{ host: '127.0.0.1', port }],
    gateway: OWN_GATEWAY,
    clock,
    logger,
    random: () => 0.5,
  });
  const attach = (): void => credentials.attach((message) => message.type === 'renew' && asked.add(message));
  return { credentials, warnings, asked, attach };
}

/** What the gateway of a session with this certificate answers. */
async function answer(
  scene: IdentityScene,
  certPem: string,
  { request }: MessageOf<'renew'>,
): Promise<MessageOf<'renewed'>> {
  const issued = await scene.identity.enrolment.renew(new X509Certificate(certPem), request);
  return { type: 'renewed', certificate: issued.certificate, authorities: [...issued.authorities] };
}

const recordOf = ({ identity }: IdentityScene) => identity.workers.book.value.workers.get('gpu-1');
const pemIn = (folder: string): Promise<string> => readFile(join(folder, 'worker.pem'), 'utf8');

void test('a certificate that ended while the machine slept is renewed before the dial, within the grace', async (t) => {
  const { scene, folder, port, certPem } = await setup(t, -2 * DAY_MS);
  const { credentials, warnings } = await openProcess(folder, port);
  const context = await credentials.context(new AbortController().signal);
  assert.notEqual(await pemIn(folder), certPem);
  assert.deepEqual([recordOf(scene)?.generation, recordOf(scene)?.lateRenewals], [2, 1]);
  assert.equal(existsSync(join(folder, 'worker.next.key')), false);
  assert.ok((await readWorkerIdentity(folder)).certificateEndsAt > Date.now());
  // Once: the next dial has nothing to ask.
  assert.equal(await credentials.context(new AbortController().signal), context);
  assert.equal(recordOf(scene)?.generation, 2);
  assert.deepEqual(warnings.entries, []);
});

void test('several links that dial with a certificate that has ended ask once, also when the first calls its dial off', async (t) => {
  const { scene, folder, port, certPem } = await setup(t, -2 * DAY_MS);
  const { credentials, warnings } = await openProcess(folder, port);
  const first = new AbortController();
  const contexts = [first, ...Array.from({ length: 5 }, () => new AbortController())].map(({ signal }) =>
    credentials.context(signal),
  );
  // The first one to get there is the one that began to ask.
  while (!existsSync(join(folder, 'worker.next.key')) && (await pemIn(folder)) === certPem)
    await new Promise((resolve) => setImmediate(resolve));
  first.abort();
  const [, ...rest] = await Promise.all(contexts);
  assert.equal(new Set(rest).size, 1);
  assert.deepEqual([recordOf(scene)?.generation, recordOf(scene)?.lateRenewals], [2, 1]);
  assert.equal(recordOf(scene)?.lockedAt, null);
  assert.equal(existsSync(join(folder, 'worker.next.key')), false);
  // Which it refuses if the key is not the one of the certificate.
  assert.notEqual((await readWorkerIdentity(folder)).certPem, certPem);
  assert.deepEqual(warnings.entries, []);
});

void test('beyond the grace it is refused, says so, and the dial goes on for the gateway to judge', async (t) => {
  const { scene, folder, port, certPem } = await setup(t, -2 * DAY_MS, { renewalGraceMs: 3_600_000 });
  const { credentials, warnings } = await openProcess(folder, port);
  assert.ok(await credentials.context(new AbortController().signal));
  assert.deepEqual(warnings.entries, [
    { message: 'certificate has ended and was not renewed', code: 'handshake_refused' },
  ]);
  assert.equal(await pemIn(folder), certPem);
  assert.deepEqual([recordOf(scene)?.generation, recordOf(scene)?.lockedAt], [1, null]);
});

void test('one that was revoked while it slept is told so', async (t) => {
  const { scene, folder, port } = await setup(t, -2 * DAY_MS);
  scene.identity.workers.revoke('gpu-1', { actor: 'test', at: Date.now() });
  const { credentials, warnings } = await openProcess(folder, port);
  await credentials.context(new AbortController().signal);
  assert.deepEqual(
    warnings.entries.map(({ code }) => code),
    ['worker_revoked'],
  );
});

void test('a folder that keeps nothing costs another question with the same key, and never the worker', async (t) => {
  const { scene, folder, port, certPem } = await setup(t, 0);
  const clock = createManualClock();
  const { credentials, warnings, asked, attach } = await openProcess(folder, port, clock);
  attach();
  clock.advance(DAY_MS * 0.7);
  const first = await asked.find(() => true);
  scene.clock.aheadMs = DAY_MS * 0.7;
  const renewed = await answer(scene, certPem, first);
  // Nothing can take the place of a folder that is not empty.
  await rename(join(folder, 'ca.pem'), join(folder, 'kept'));
  await mkdir(join(folder, 'ca.pem', 'in-the-way'), { recursive: true });
  credentials.onMessage(renewed);
  await warnings.find(({ message }) => message === 'certificate not renewed');
  assert.equal(await pemIn(folder), certPem, 'what it had counts on');
  await rm(join(folder, 'ca.pem'), { recursive: true });
  await rename(join(folder, 'kept'), join(folder, 'ca.pem'));
  clock.advance(3_600_000);
  const second = await asked.find((one) => one !== first);
  const again = await answer(scene, certPem, second);
  assert.equal(again.certificate, renewed.certificate, 'the same question has the same answer');
  credentials.onMessage(again);
  while ((await pemIn(folder)) === certPem) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([recordOf(scene)?.generation, recordOf(scene)?.lockedAt], [2, null]);
  credentials.detach();
});

void test('two processes in one folder ask with one key, keep one certificate, and lock nobody', async (t) => {
  const { scene, folder, port, certPem } = await setup(t, 0);
  const clock = createManualClock();
  const [a, b, idle] = [
    await openProcess(folder, port, clock),
    await openProcess(folder, port, clock),
    await openProcess(folder, port, clock),
  ];
  a.attach();
  b.attach();
  clock.advance(DAY_MS * 0.7);
  scene.clock.aheadMs = DAY_MS * 0.7;
  const questions = [await a.asked.find(() => true), await b.asked.find(() => true)];
  const answers = [];
  for (const question of questions) answers.push(await answer(scene, certPem, question));
  assert.equal(answers[0]?.certificate, answers[1]?.certificate);
  for (const [index, one] of [a, b].entries()) {
    one.credentials.onMessage(answers[index]!);
    while ((await pemIn(folder)) === certPem || existsSync(join(folder, 'worker.next.key'))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  // One that comes later finds it there, and asks for nothing.
  await idle.credentials.context(new AbortController().signal);
  idle.attach();
  assert.equal((await readWorkerIdentity(folder)).certPem, answers[0]?.certificate);
  assert.deepEqual([recordOf(scene)?.generation, recordOf(scene)?.lockedAt], [2, null]);
  assert.equal(idle.asked.entries.length, 0);
  for (const { credentials, warnings } of [a, b, idle]) {
    credentials.detach();
    assert.deepEqual(warnings.entries, []);
  }
});
