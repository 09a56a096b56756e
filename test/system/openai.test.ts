/** The unmodified `openai` clients of npm and PyPI against a real gateway, a real worker, and a server with that API. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { stringify } from 'yaml';
import { createJournal } from '../support/journal.ts';
import { createOpenAiServer } from '../support/openai-server.ts';
import { PosternSystem, until, untilModel } from '../support/postern.ts';
import { needPython } from '../support/python.ts';

const SCRIPT = new URL('../python/openai_client.py', import.meta.url).pathname;
const seen = createJournal<string>();
const server = createOpenAiServer(seen);
const folder = mkdtempSync(join(tmpdir(), 'postern-openai-'));

let system: PosternSystem;
let baseURL = '';
let apiKey = '';
let client: OpenAI;

const ask = (content: string) => ({ model: 'org/chat', messages: [{ role: 'user' as const, content }] });
const timesSeen = (what: string): number => seen.entries.filter((entry) => entry === what).length;
/** The server has seen so many of its streams close. */
const closed = (count: number): Promise<boolean> => seen.until(() => (timesSeen('closed') >= count ? true : undefined));

describe('openai', { timeout: 120_000 }, () => {
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const at = join(folder, 'chat', '1');
    await mkdir(at, { recursive: true });
    const { port } = server.address() as AddressInfo;
    const what = { postern: 1, name: 'chat', version: '1', kind: 'openai', runner: 'http' };
    await writeFile(
      join(at, 'postern.yaml'),
      stringify({ ...what, url: `http://127.0.0.1:${port}`, models: ['org/chat'], health: { interval_s: 60 } }),
    );
    system = new PosternSystem({ modelsDir: folder });
    const gateway = await system.gateway();
    system.worker(gateway, system.issue('gpu-1'));
    await untilModel(gateway.url, 'chat');
    const made = system.command('gateway', ['keys', 'create', 'caller', '--scope', 'predict', '--json']);
    apiKey = (JSON.parse(made) as { key: string }).key;
    baseURL = `${gateway.url}/openai/v1`;
    client = new OpenAI({ baseURL, apiKey });
    // From here on the gateway asks for keys; it notices the first one within a moment.
    await until('the key', 10_000, async () => ((await fetch(`${baseURL}/models`)).status === 401 ? true : null));
  });

  after(async () => {
    await system.remove();
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });

  test('npm: models, a chat, a stream, embeddings', async () => {
    const models = await client.models.list();
    assert.deepEqual(
      models.data.map(({ id }) => id),
      ['org/chat'],
    );
    assert.equal((await client.models.retrieve('org/chat')).owned_by, 'chat');
    const answer = await client.chat.completions.create(ask('hello you'));
    assert.equal(answer.choices[0]!.message.content, 'hello you');
    const words: (string | null | undefined)[] = [];
    for await (const part of await client.chat.completions.create({ ...ask('one two three'), stream: true })) {
      words.push(part.choices[0]!.delta.content);
    }
    assert.deepEqual(words, ['one', 'two', 'three', undefined]);
    const embedded = await client.embeddings.create({ model: 'org/chat', input: 'x', encoding_format: 'float' });
    assert.deepEqual(embedded.data[0]!.embedding, [0.25, -1]);
  });

  test('npm: a caller that breaks off a stream is noticed by the server', async () => {
    const before = timesSeen('closed');
    const stream = await client.chat.completions.create({ ...ask('endless'), stream: true });
    for await (const part of stream) {
      assert.equal(part.choices[0]!.delta.content, 'endless');
      break;
    }
    await closed(before + 1);
  });

  test('npm: errors of the server and of the gateway are the client’s own; what is busy is asked again', async () => {
    await assert.rejects(client.chat.completions.create(ask('bad')), (error: unknown) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.code, 'bad');
      return true;
    });
    await assert.rejects(client.chat.completions.create({ ...ask('x'), model: 'unknown' }), (error: unknown) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, 'model_not_found');
      assert.match(error.message, /There is no model "unknown" here/);
      return true;
    });
    await assert.rejects(new OpenAI({ baseURL, apiKey: 'wrong' }).models.list(), OpenAI.AuthenticationError);
    assert.equal((await client.chat.completions.create(ask('busy'))).choices[0]!.message.content, 'busy');
  });

  test('PyPI: the same', async (t) => {
    const python = needPython(t, 'openai');
    if (python === null) return;
    const before = timesSeen('closed');
    const { stdout } = await promisify(execFile)(python, [SCRIPT, baseURL, apiKey]);
    assert.deepEqual(stdout.trim().split('\n'), [
      'models',
      'chat',
      'stream',
      'embeddings',
      'its own error',
      'an error of the gateway',
      'left',
    ]);
    // The stream that ended by itself, and the one that was left.
    await closed(before + 2);
  });

  test('the server never saw a key', () => {
    assert.ok(seen.entries.some((entry) => entry.startsWith('POST')));
    assert.ok(seen.entries.every((entry) => entry === 'closed' || entry.endsWith('without a key')));
  });
});
