import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { PosternError } from '../errors.ts';
import { verifyWebhook } from './webhook.ts';

const SECRET = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;
const OTHER = `whsec_${Buffer.from('another key of thirty-two bytes.').toString('base64')}`;
const BODY = '{"id":"p1","status":"succeeded","output":{"label":"장미"}}';
const NOW = 1_750_000_000_000;

/** Signed by a library that is not ours. */
function signed(secret = SECRET, body = BODY, at = NOW) {
  return {
    'webhook-id': 'msg_p1_completed',
    'webhook-timestamp': String(at / 1000),
    'webhook-signature': new Webhook(secret).sign('msg_p1_completed', new Date(at), body),
  };
}
const refused = (error: unknown): boolean => error instanceof PosternError && error.code === 'webhook_unverified';
const at = { nowMs: NOW };

test('a webhook that is signed gives its prediction, as text and as bytes, with either kind of headers', async () => {
  for (const headers of [signed(), new Headers(signed())]) {
    for (const body of [BODY, Buffer.from(BODY)]) {
      assert.equal((await verifyWebhook({ headers, body }, SECRET, at)).id, 'p1');
    }
  }
});

test('one of several signatures is enough', async () => {
  const first = signed(OTHER)['webhook-signature'];
  const second = signed()['webhook-signature'];
  const headers = { ...signed(), 'webhook-signature': `v1a,xyz ${first} v1,!!! ${second}` };
  assert.equal((await verifyWebhook({ headers, body: BODY }, SECRET, at)).status, 'succeeded');
});

test('what is forged, old, early, or without its headers is refused', async () => {
  const cases: readonly [what: string, headers: Record<string, string>, body: string][] = [
    ['another key', signed(OTHER), BODY],
    ['another body', signed(), BODY.replace('p1', 'p2')],
    ['another id', { ...signed(), 'webhook-id': 'msg_p2_completed' }, BODY],
    ['another time', { ...signed(), 'webhook-timestamp': String(NOW / 1000 + 1) }, BODY],
    ['too old', signed(SECRET, BODY, NOW - 301_000), BODY],
    ['too early', signed(SECRET, BODY, NOW + 301_000), BODY],
    ['no time', { ...signed(), 'webhook-timestamp': 'now' }, BODY],
    ['no headers', {}, BODY],
    ['an empty signature', { ...signed(), 'webhook-signature': 'v1,' }, BODY],
    ['another version', { ...signed(), 'webhook-signature': signed()['webhook-signature'].replace('v1', 'v2') }, BODY],
    ['no JSON', signed(SECRET, 'rose'), 'rose'],
  ];
  for (const [what, headers, body] of cases) {
    await assert.rejects(verifyWebhook({ headers, body }, SECRET, at), refused, what);
  }
});

test('a secret that is none is the operator’s mistake', async () => {
  const isConfig = (error: unknown): boolean => error instanceof PosternError && error.code === 'config_invalid';
  for (const secret of ['', 'whsec_', 'secret', 'whsec_***']) {
    await assert.rejects(verifyWebhook({ headers: signed(), body: BODY }, secret, at), isConfig, secret);
  }
});
