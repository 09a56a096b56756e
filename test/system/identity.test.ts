/** Workers come and are shut out, and the authority is replaced, between real processes: what their operator does and sees. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { WorkerAccount } from '../../src/client/shapes.ts';
import { makeHello } from '../../src/protocol/hello.ts';
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';
import { HELLO, openRawWorker } from '../support/raw-peer.ts';

/** Renewed after some 8 s: nothing here takes a day. */
const SHORT = { POSTERN_CERTIFICATE_TTL_S: '12' };
const LONG = { POSTERN_CERTIFICATE_TTL_S: '86400' };
const WAIT_MS = 90_000;

function openSystem(t: TestContext): PosternSystem {
  const system = new PosternSystem();
  t.after(() => system.remove());
  return system;
}

/** What a command says when it fails, on standard error. */
function failure(command: () => unknown): string {
  try {
    command();
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr);
  }
  return 'it did not fail';
}

const list = (system: PosternSystem, gateway: Gateway): WorkerAccount[] =>
  JSON.parse(system.command('gateway', ['workers', '--json'], { POSTERN_URL: gateway.url })) as WorkerAccount[];

/** Waits until this worker is as `expected` says. */
const untilWorker = (
  { url }: Gateway,
  name: string,
  what: string,
  expected: (worker: WorkerAccount) => boolean,
): Promise<WorkerAccount> =>
  until(`${name} to be ${what}`, WAIT_MS, async () => {
    const { results } = (await (await fetch(`${url}/v1/admin/workers`)).json()) as { results: WorkerAccount[] };
    return results.find((worker) => worker.name === name && expected(worker)) ?? null;
  });

const untilLog = (worker: Process, pattern: RegExp): Promise<true> =>
  until(`the worker to say ${pattern.source}`, WAIT_MS, () => Promise.resolve(pattern.test(worker.log()) || null));

async function echo({ url }: Gateway): Promise<unknown> {
  const response = await fetch(`${url}/v1/models/local/echo/predictions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=30' },
    body: '{"input":"x"}',
  });
  return ((await response.json()) as { status: unknown }).status;
}

void test('the list of workers comes from the records where no gateway runs, and is asked of no other one there', (t) => {
  const system = openSystem(t);
  // A port on which nobody can listen without being asked to.
  const env = { POSTERN_URL: 'http://127.0.0.1:9' };
  system.command('gateway', ['invite', 'gpu-1', '--models', 'plants', '--address', '127.0.0.1:37373', '--json']);
  const [invited] = JSON.parse(system.command('gateway', ['workers', '--json'], env)) as WorkerAccount[];
  assert.deepEqual(
    [invited?.name, invited?.standing, invited?.models, invited?.session],
    ['gpu-1', 'invited', ['plants'], null],
  );
  assert.match(system.command('gateway', ['workers'], env), /gpu-1 +invited .*to join: 9 min .*plants/);
  const other = failure(() => system.command('gateway', ['workers', '--gateway', env.POSTERN_URL], env));
  assert.match(other, /^postern: .*does not answer/);
  system.command('gateway', ['revoke', 'gpu-1']);
  assert.match(system.command('gateway', ['workers'], env), /^There are no workers yet/);
});

void test('another authority takes over while a worker works on, and what has not moved is refused then', async (t) => {
  const system = openSystem(t);
  const rotate = (...flags: string[]): { state: string; moved: string[]; waiting: string[] } =>
    JSON.parse(system.command('gateway', ['rotate-ca', '--json', ...flags])) as ReturnType<typeof rotate>;
  // One that sleeps through it all, with a certificate that is good for a day.
  let gateway = await system.gateway({}, { env: LONG });
  const asleep = system.join(gateway, 'gpu-2', 'echo');
  await gateway.stop();
  gateway = await system.gateway({}, { env: SHORT });
  const folder = system.join(gateway, 'gpu-1', 'echo');
  let worker = system.worker(gateway, folder);
  await untilModel(gateway.url, 'echo');
  const { session: before } = await untilWorker(gateway, 'gpu-1', 'connected', ({ session }) => session !== null);

  assert.match(
    failure(() => rotate('--finish')),
    /no replacement is under way/,
  );
  assert.deepEqual(rotate(), { state: 'begun', moved: [], waiting: ['gpu-1', 'gpu-2'] });
  assert.match(
    failure(() => rotate('--finish')),
    /not moved over yet: .*gpu-2/,
  );
  await until('gpu-1 to move over', WAIT_MS, () => Promise.resolve(rotate().moved.includes('gpu-1') || null));
  const { session: after } = await untilWorker(gateway, 'gpu-1', 'connected', ({ session }) => session !== null);
  assert.deepEqual([after?.session, after?.connected_at], [before?.session, before?.connected_at], 'one session');
  assert.equal(readFileSync(join(folder, 'ca.pem'), 'utf8').match(/BEGIN CERTIFICATE/g)?.length, 2, 'trusts both');
  assert.equal(await echo(gateway), 'succeeded');

  // Still trusted: a certificate of the old authority opens a session during the overlap.
  const late = system.worker(gateway, asleep);
  await untilWorker(gateway, 'gpu-2', 'connected', ({ session }) => session?.state === 'connected');
  await late.kill();
  assert.match(
    failure(() => rotate('--finish')),
    /not moved over yet: gpu-2/,
  );
  assert.equal(rotate('--finish', '--force').state, 'finished');

  // The old one counts no more, on either side. The certificate itself is good for a day, so nothing else refuses it.
  const [key, cert] = ['worker.key', 'worker.pem'].map((file) => readFileSync(join(asleep, file), 'utf8'));
  const readCa = (): string => readFileSync(join(folder, 'ca.pem'), 'utf8');
  await until('the gateway to refuse the old authority', WAIT_MS, async () => {
    const old = await openRawWorker(gateway.tunnelPort, { key, cert, ca: readCa() }, makeHello(HELLO));
    // Until the gateway has looked into the records it may still be let in.
    const answer = await Promise.race([old.closed, old.next('welcome').then(() => null)]);
    old.connection.destroy();
    // Whom TLS does not verify is told nothing: why, the gateway's log says.
    return (answer !== null && gateway.log().includes('no certificate that counts here')) || null;
  });
  const refused = system.worker(gateway, asleep);
  await untilLog(refused, /handshake_refused/);
  await refused.kill();

  // Whoever moved goes on, also with a new process, and a gateway that starts anew.
  await worker.stop();
  worker = system.worker(gateway, folder);
  const isHere = ({ session }: WorkerAccount): boolean => session?.state === 'connected';
  await untilWorker(gateway, 'gpu-1', 'connected with the new authority', isHere);
  assert.equal(await echo(gateway), 'succeeded');
  await gateway.stop();
  gateway = await system.gateway({ httpPort: gateway.httpPort, tunnelPort: gateway.tunnelPort }, { env: SHORT });
  await untilModel(gateway.url, 'echo', WAIT_MS);
  assert.equal(await echo(gateway), 'succeeded');
  await worker.stop();
});

void test('a certificate on a second machine locks the worker, says so everywhere, and a new invitation ends it', async (t) => {
  const system = openSystem(t);
  const gateway = await system.gateway({}, { env: SHORT });
  const folder = system.join(gateway, 'gpu-1', 'echo');
  const stolen = `${folder}-stolen`;
  cpSync(folder, stolen, { recursive: true });
  const right = system.worker(gateway, folder);
  await untilWorker(gateway, 'gpu-1', 'renewed', ({ generation }) => (generation ?? 0) >= 2);
  // It asks for the successor of a certificate that has one, with a key of its own.
  const wrong = system.worker(gateway, stolen);
  const locked = await untilWorker(gateway, 'gpu-1', 'locked', ({ standing }) => standing === 'locked');
  assert.match(locked.lock_reason ?? '', /its certificate \d+ was (?:used|renewed for two different keys)/);
  for (const worker of [right, wrong]) {
    await untilLog(worker, /worker_locked.*gpu-1 is locked .*invite it again with --replace/);
  }
  await untilWorker(gateway, 'gpu-1', 'out', ({ session }) => session === null || session.state === 'away');
  const table = system.command('gateway', ['workers'], { POSTERN_URL: gateway.url });
  assert.match(table, /gpu-1 +locked[\s\S]*gpu-1 is locked: its certificate.*postern invite gpu-1 --replace/);
  const audit = system.command('gateway', ['audit', 'list', '--json']);
  assert.match(audit, /"worker\.lock"/);
  await Promise.all([right.kill(), wrong.kill()]);

  const { token } = JSON.parse(
    system.command('gateway', [
      ...['invite', 'gpu-1', '--models', 'echo', '--replace'],
      ...['--address', `127.0.0.1:${gateway.tunnelPort}`, '--json'],
    ]),
  ) as { token: string };
  const again = `${folder}-again`;
  system.command('worker', ['join', token], { POSTERN_IDENTITY_DIR: again });
  const joined = system.worker(gateway, again);
  await untilWorker(gateway, 'gpu-1', 'back', ({ session }) => session?.state === 'connected');
  // What was stolen is refused, and locks nobody any more.
  const still = system.worker(gateway, stolen);
  await untilLog(still, /another machine has joined under this name|handshake_refused|enrolment_refused/);
  assert.equal(list(system, gateway)[0]?.standing, 'joined');

  // The other way to shut it out: over HTTP, at once.
  const revoked = await fetch(`${gateway.url}/v1/admin/workers/gpu-1/revoke`, { method: 'POST' });
  assert.equal(((await revoked.json()) as WorkerAccount).standing, 'revoked');
  await untilLog(joined, /worker_revoked/);
  await Promise.all([joined.kill(), still.kill()]);
});
