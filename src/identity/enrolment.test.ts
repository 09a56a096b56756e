/** Who gets a certificate, who gets in with it, and what locks a worker. Real certificates and records, no network. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { DAY_MS, openIdentityScene } from '../../test/support/identity-scene.ts';
import type { IdentityScene, Member } from '../../test/support/identity-scene.ts';
import { silentLogger } from '../logger.ts';
import { listAudit } from './audit.ts';
import { openAuthorities } from './authorities.ts';
import { makeKeyPem, makeRequest } from './certificate.ts';
import { openTunnelIdentity } from './tunnel-identity.ts';

async function open(t: TestContext): Promise<IdentityScene> {
  const scene = await openIdentityScene();
  t.after(() => scene.close());
  return scene;
}

const admit = ({ identity }: IdentityScene, member: Member) => identity.access.admit(member.certificate);
const isRefused = (code: string) => (error: unknown) => (error as { code?: string }).code === code;

void test('an invited worker gets a certificate for its name, and is let in for its models only', async (t) => {
  const scene = await open(t);
  const gpu = await scene.join('gpu-1', ['plants']);
  assert.equal(admit(scene, gpu).name, 'gpu-1');
  assert.equal(gpu.certificate.subjectAltName, 'URI:postern://worker/gpu-1');
  const { access, workers } = scene.identity;
  assert.deepEqual([access.allows('gpu-1', 'plants'), access.allows('gpu-1', 'echo')], [true, false]);
  assert.equal(access.allows('gpu-2', 'plants'), false);
  workers.allow('gpu-1', null, { actor: 'test', at: 1 });
  assert.equal(access.allows('gpu-1', 'echo'), true);
});

void test('the same key may ask again with a used invitation, and gets the same certificate; no other key may', async (t) => {
  const scene = await open(t);
  const secret = scene.invite('gpu-1');
  const { enrolment } = scene.identity;
  const request = await makeRequest(makeKeyPem(), 'gpu-1');
  const first = await enrolment.join(secret, request, 'test');
  assert.equal((await enrolment.join(secret, request, 'test')).certificate, first.certificate);
  const other = await makeRequest(makeKeyPem(), 'gpu-1');
  await assert.rejects(enrolment.join(secret, other, 'test'), /used already/);
});

void test('two machines with one invitation at the same moment: one gets in', async (t) => {
  const scene = await open(t);
  const secret = scene.invite('gpu-1');
  const requests = await Promise.all([1, 2, 3].map(() => makeRequest(makeKeyPem(), 'gpu-1')));
  const results = await Promise.allSettled(requests.map((one) => scene.identity.enrolment.join(secret, one, 'test')));
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
});

void test('a renewed certificate and the one before it count until the newer one was seen, then only the newer', async (t) => {
  const scene = await open(t);
  const first = await scene.join('gpu-1');
  scene.clock.aheadMs = DAY_MS / 2;
  const second = await scene.renew(first);
  admit(scene, first);
  admit(scene, second);
  assert.throws(() => admit(scene, first), isRefused('handshake_refused'));
  admit(scene, second);
});

void test('an answer that was lost is given again to the same key, as often as it asks', async (t) => {
  const scene = await open(t);
  const first = await scene.join('gpu-1');
  scene.clock.aheadMs = DAY_MS / 2;
  const key = makeKeyPem();
  const second = await scene.renew(first, key);
  assert.equal((await scene.renew(first, key)).certPem, second.certPem);
  // In one session the gateway takes the new one for shown, and the worker does not have it yet.
  assert.equal((await scene.renew(second, key)).certPem, second.certPem);
  admit(scene, first);
});

void test('a certificate that is renewed for two keys locks the worker, both of it, and the log says so', async (t) => {
  const scene = await open(t);
  const first = await scene.join('gpu-1');
  scene.clock.aheadMs = DAY_MS / 2;
  const thief = await scene.renew(first);
  admit(scene, thief);
  await assert.rejects(scene.renew(first), isRefused('worker_locked'));
  for (const member of [first, thief]) assert.throws(() => admit(scene, member), isRefused('worker_locked'));
  await assert.rejects(scene.renew(thief), isRefused('worker_locked'));
  assert.equal(scene.identity.access.check(admitted(scene, thief))?.code, 'worker_locked');
  assert.equal(listAudit(scene.records.db, { limit: 1, beforeSeq: null })[0]?.action, 'worker.lock');

  const again = await scene.join('gpu-1');
  admit(scene, again);
  assert.throws(() => admit(scene, thief), isRefused('handshake_refused'), 'refused, and without another lock');
  admit(scene, again);
});

void test('an older certificate that is used long after its successor locks the worker', async (t) => {
  const scene = await open(t);
  const first = await scene.join('gpu-1');
  scene.clock.aheadMs = DAY_MS / 2;
  const second = await scene.renew(first);
  admit(scene, second);
  scene.clock.aheadMs += 61_000;
  assert.throws(() => admit(scene, first), isRefused('worker_locked'));
  assert.throws(() => admit(scene, second), isRefused('worker_locked'));
});

void test('a certificate that has ended may be renewed within the grace, counted, and nothing else', async (t) => {
  const scene = await open(t);
  const first = await scene.join('gpu-1');
  scene.clock.aheadMs = 30 * DAY_MS;
  assert.throws(() => admit(scene, first), /it ended on/);
  const second = await scene.renew(first);
  admit(scene, second);
  assert.equal(scene.identity.workers.book.value.workers.get('gpu-1')?.lateRenewals, 1);
  const other = await scene.join('gpu-2');
  scene.clock.aheadMs += 31 * DAY_MS + 120_000;
  await assert.rejects(scene.renew(other), /it ended on/);
});

void test('who was revoked can neither connect, nor renew, nor join with an older invitation', async (t) => {
  const scene = await open(t);
  const gpu = await scene.join('gpu-1');
  const secret = scene.invite('gpu-1');
  assert.ok(scene.identity.workers.revoke('gpu-1', { actor: 'test', at: 1 }));
  assert.throws(() => admit(scene, gpu), isRefused('worker_revoked'));
  scene.clock.aheadMs = 2 * DAY_MS;
  await assert.rejects(scene.renew(gpu), isRefused('worker_revoked'));
  const request = await makeRequest(makeKeyPem(), 'gpu-1');
  await assert.rejects(scene.identity.enrolment.join(secret, request, 'test'), /no such invitation/);
});

void test('a certificate is not renewed too early, and what is not on record is refused', async (t) => {
  const scene = await open(t);
  await assert.rejects(scene.renew(await scene.join('gpu-1')), /too new/);
  const stranger = await open(t);
  const other = await stranger.join('gpu-1');
  scene.clock.aheadMs = DAY_MS / 2;
  await assert.rejects(scene.renew(other), /not from this authority/);
  assert.throws(() => admit(scene, other), /not on record/);
});

void test('while the authority is replaced both count, renewals move over, and at the end the old one counts no more', async (t) => {
  const scene = await open(t);
  const act = { actor: 'test', at: 1 };
  const [moves, stays] = [await scene.join('gpu-1'), await scene.join('gpu-2')];
  const authorities = openAuthorities(scene.records);
  assert.ok(authorities.begin(2, act));
  await scene.identity.refresh();
  assert.equal(scene.identity.tls.trustPems.length, 2);
  scene.clock.aheadMs = DAY_MS / 2;
  const moved = await scene.renew(moves);
  assert.ok(moved.certificate.verify(scene.identity.pki.authorities[1]!.certificate.publicKey));
  const sessions = [admit(scene, moved), admit(scene, stays)];
  assert.deepEqual(
    sessions.map((one) => scene.identity.access.check(one)),
    [null, null],
  );
  assert.equal(authorities.finish(act), 1);
  await scene.identity.refresh();
  assert.equal(scene.identity.tls.trustPems.length, 1);
  assert.equal(scene.identity.access.check(sessions[0]!), null);
  assert.match(scene.identity.access.check(sessions[1]!)?.message ?? '', /authority was retired/);
});

void test('everything of it survives a restart', async (t) => {
  const scene = await open(t);
  const [good, bad] = [await scene.join('gpu-1', ['plants']), await scene.join('gpu-2')];
  scene.identity.workers.revoke('gpu-2', { actor: 'test', at: 1 });
  const again = await openTunnelIdentity({
    records: scene.records,
    folder: `${scene.folder}/identity`,
    hosts: [],
    foreign: null,
    certificateTtlMs: DAY_MS,
    renewalGraceMs: 0,
    clock: scene.clock,
    logger: silentLogger,
  });
  assert.equal(again.access.admit(good.certificate).name, 'gpu-1');
  assert.equal(again.access.allows('gpu-1', 'echo'), false);
  assert.throws(() => again.access.admit(bad.certificate), isRefused('worker_revoked'));
});

/** A session that was let in before. */
const admitted = (_scene: IdentityScene, member: Member) => ({
  name: member.name,
  certificateEndsAt: member.certificate.validToDate.getTime(),
  fingerprint: member.certificate.fingerprint256,
});
