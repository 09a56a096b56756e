/** Which of several sessions may ask for the next certificate. */
import assert from 'node:assert/strict';
import type { SecureContext } from 'node:tls';
import { test } from 'node:test';
import type { Message, MessageOf } from '../../protocol/messages.ts';
import { OWN_GATEWAY } from '../dial.ts';
import type { LinkCredentials } from '../credentials.ts';
import { shareCredentials } from './renewals.ts';

const RENEWED: MessageOf<'renewed'> = { type: 'renewed', certificate: 'x', authorities: ['x'] };

/** Credentials whose certificate is changed by the test, and what they did. */
function setup() {
  let context = {} as SecureContext;
  let send: ((message: Message) => void) | null = null;
  const heard: string[] = [];
  const credentials: LinkCredentials = {
    gateway: OWN_GATEWAY,
    context: () => Promise.resolve(context),
    attach: (sender) => (send = sender),
    detach: () => (send = null),
    onMessage: ({ type }) => void heard.push(type),
  };
  const make = shareCredentials(credentials);
  const asked: string[] = [];
  async function open(name: string) {
    const link = make();
    const connect = async (): Promise<void> => {
      await link.context(new AbortController().signal);
      link.attach(() => void asked.push(name));
    };
    await connect();
    return { ...link, connect };
  }
  return {
    open,
    heard,
    /** By whom the question goes, if it can go. */
    ask: (): string | undefined => {
      asked.length = 0;
      send?.({ type: 'renew', request: 'x' });
      return asked[0];
    },
    change: () => (context = {} as SecureContext),
  };
}

void test('one link asks at a time, and another one when that is lost', async () => {
  const { open, ask, heard } = setup();
  const [a, b] = [await open('a'), await open('b')];
  assert.equal(ask(), 'a');
  b.onMessage(RENEWED);
  assert.deepEqual(heard, [], 'an answer that nobody asked for');
  a.detach();
  assert.equal(ask(), 'b');
  b.detach();
  assert.equal(ask(), undefined);
});

void test('a session that was opened with an older certificate never asks: a second key for it would lock the worker', async () => {
  const { open, ask, change } = setup();
  const [a, b] = [await open('a'), await open('b')];
  a.onMessage(RENEWED);
  change();
  assert.equal(ask(), 'a', 'the session in which it was given stands on the new one');
  a.detach();
  assert.equal(ask(), undefined);
  b.detach();
  await b.connect();
  assert.equal(ask(), 'b');
});

void test('a dial that began with the certificate before counts as an older session', async () => {
  const { open, ask, change } = setup();
  const a = await open('a');
  a.onMessage(RENEWED);
  // The new one is not in place yet, and this dial takes what is there.
  await open('b');
  change();
  a.detach();
  assert.equal(ask(), undefined);
});
