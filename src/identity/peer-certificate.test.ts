import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../logger.ts';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { createPeerCertificate } from './peer-certificate.ts';

type Identity = Parameters<typeof createPeerCertificate>[0]['identity'];

/** An authority that signs when it is told to. */
function openSlowIdentity() {
  const waiting: (() => void)[] = [];
  const renewals = new Set<() => void>();
  let count = 0;
  const issue = (): Promise<object> => {
    const certPem = `certificate ${++count}`;
    return new Promise((resolve) => waiting.push(() => resolve({ keyPem: 'key', certPem })));
  };
  const identity = {
    pki: { authorities: [{ issue }], tls: { trustPems: [] } },
    onTls: (observer: () => void) => {
      renewals.add(observer);
      return () => renewals.delete(observer);
    },
  } as unknown as Identity;
  return { identity, waiting, renew: () => renewals.forEach((observe) => observe()) };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

void test('of two certificates that are asked for at once the later one counts, whichever is signed first', async () => {
  const { identity, waiting, renew } = openSlowIdentity();
  const certificate = createPeerCertificate({ id: 'a', identity, clock: createManualClock(), logger: silentLogger });
  const started = certificate.start();
  await turn();
  waiting.pop()?.();
  await started;
  renew();
  renew();
  // The last in line first, until nobody waits any more.
  for (await turn(); waiting.length > 0; await turn()) waiting.pop()?.();
  assert.equal(certificate.tls?.certPem, 'certificate 3');
  await certificate.stop();
});
