/**
 * Two gateways on one PostgreSQL, and a worker that has dialled only one of them: what is asked for at the other one is answered all the
 * same, with bodies that flow both ways, and ends when either side does.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { cpSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import OpenAI from 'openai';
import { stringify } from 'yaml';
import { createClient } from '../../src/client/client.ts';
import type { Prediction } from '../../src/client/shapes.ts';
import { createJournal } from '../support/journal.ts';
import { createOpenAiServer } from '../support/openai-server.ts';
import { PosternSystem, until, untilModel, type Gateway } from '../support/postern.ts';
import { cannotRunPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';

const MODELS = new URL('../../models', import.meta.url).pathname;
const MIB = 1024 * 1024;
const SECRETS = ['authorization', 'cookie', 'x-csrf-token'];
const PARTS = 40;
const PART_BYTES = 6;
const TEXT = Array.from({ length: PARTS }, (_, n) => `${String(n).padStart(PART_BYTES - 1, '0')} `).join('');

const seen = createJournal<string>();
const openai = createOpenAiServer(createJournal<string>());
/** Of answers that the test holds open. */
const open: ServerResponse[] = [];
const server = createServer((request, response) => void serve(request, response));

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? '';
  if (path === '/hash') {
    const hash = createHash('sha256');
    for await (const chunk of request) hash.update(chunk as Buffer);
    response.end(hash.digest('hex'));
  } else if (path === '/large') response.end(Buffer.alloc(8 * MIB, 'x'));
  else if (path === '/slow') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-forwarded': 'no' });
    response.write('data: first\n\n');
    open.push(response);
    response.once('close', () => seen.add('closed'));
  } else if (path === '/secrets') {
    response.end(SECRETS.filter((name) => request.headers[name] !== undefined).join(' ') || 'none');
  } else response.end(`${request.method} ${path} ${String(request.headers['x-postern-forwarded'] ?? 'plain')}`);
}

void suite('requests that another gateway answers', { skip: cannotRunPostgres(), timeout: 280_000 }, () => {
  let postgres: TestPostgres;
  let system: PosternSystem;
  let near: Gateway;
  let far: Gateway;
  let env: Record<string, string>;
  let identity: string;

  before(async () => {
    for (const one of [server, openai]) {
      one.listen(0, '127.0.0.1');
      await once(one, 'listening');
    }
    postgres = await startPostgres();
    env = { DATABASE_URL: postgres.tcpUrlOf(await postgres.createDatabase()) };
    const first = new PosternSystem();
    const models = join(first.folder, 'models');
    cpSync(join(MODELS, 'echo'), join(models, 'echo'), { recursive: true });
    const urlOf = (one: typeof server): string => `http://127.0.0.1:${(one.address() as AddressInfo).port}`;
    await writeModel(models, 'local', {
      kind: 'service',
      url: urlOf(server),
      allow: EVERYTHING,
      max_body_mb: 64,
      forward_headers: SECRETS,
    });
    await writeModel(models, 'chat', { kind: 'openai', url: urlOf(openai), models: ['org/chat'] });
    system = new PosternSystem({ modelsDir: models });
    near = await system.gateway({}, { env });
    const invited = system.command(
      'gateway',
      ['invite', 'gpu-1', '--all-models', '--address', `127.0.0.1:${near.tunnelPort}`, '--json'],
      env,
    );
    identity = join(system.folder, 'gpu-1');
    system.command('worker', ['join', (JSON.parse(invited) as { token: string }).token], {
      POSTERN_IDENTITY_DIR: identity,
    });
    cpSync(join(system.folder, 'gateway', 'identity'), join(system.folder, 'second', 'identity'), { recursive: true });
    far = await system.gateway({}, { env: { ...env, POSTERN_DATA_DIR: join(system.folder, 'second') } });
    system.worker(near, identity);
    // The far gateway says so of models that it has from the other one.
    for (const name of ['echo', 'local', 'chat']) await untilModel(far.url, name, 60_000);
  });
  after(async () => {
    await system.remove();
    await postgres.remove();
    for (const one of [server, openai]) {
      one.closeAllConnections();
      one.close();
    }
  });

  async function writeModel(models: string, name: string, manifest: Record<string, unknown>): Promise<void> {
    const at = join(models, name, '1');
    await mkdir(at, { recursive: true });
    await writeFile(
      join(at, 'postern.yaml'),
      stringify({ postern: 1, name, version: '1', runner: 'http', ...manifest }),
    );
  }

  const infer = (text: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${far.url}/v2/models/echo/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ inputs: [{ name: 'input', datatype: 'BYTES', shape: [1], data: [text] }] }),
    });

  async function outputOf(response: Response): Promise<string | undefined> {
    const body = (await response.json()) as { outputs?: { data: string[] }[] };
    assert.equal(response.status, 200, JSON.stringify(body));
    return body.outputs?.[0]?.data[0];
  }

  void test('/v2: an inference, small and large, and whether the model is ready', async () => {
    const response = await infer('from afar', { 'x-request-id': 'mine' });
    assert.equal(response.headers.get('x-request-id'), 'mine');
    assert.match(response.headers.get('server-timing') ?? '', /compute;dur=.*peer;dur=[\d.]+;desc="[a-z0-9-]+"/);
    assert.equal(await outputOf(response), 'from afar');
    const large = 'x'.repeat(2 * MIB);
    assert.equal((await outputOf(await infer(large)))?.length, large.length);
    assert.equal((await fetch(`${far.url}/v2/models/echo/ready`)).status, 200);
    const metrics = await (await fetch(`${far.url}/metrics`)).text();
    assert.match(metrics, /postern_forwarded_requests_total\{result="answered"\} [1-9]/);
  });

  void test('/v2: what the other gateway refuses is refused as if it had been asked itself', async () => {
    const response = await fetch(`${far.url}/v2/models/echo/infer`, { method: 'POST', body: '{' });
    assert.equal(response.status, 400);
    assert.match(await response.text(), /"error"/);
    assert.equal(response.headers.get('x-postern-refused'), null);
  });

  void test('/services: bodies flow both ways, and nothing of this reaches the service', async () => {
    const bytes = randomBytes(12 * MIB);
    const response = await fetch(`${far.url}/services/local/hash`, { method: 'POST', body: bytes });
    assert.equal(await response.text(), createHash('sha256').update(bytes).digest('hex'));
    const large = await fetch(`${far.url}/services/local/large`);
    assert.equal((await large.arrayBuffer()).byteLength, 8 * MIB);
    const plain = await fetch(`${far.url}/services/local/who`, { headers: { 'x-postern-forwarded': 'forged' } });
    assert.equal(await plain.text(), 'GET /who plain');
    assert.equal((await fetch(`${far.url}/services/local/who`, { method: 'HEAD' })).status, 200);
  });

  void test('/services: what proves who the caller is goes to no other gateway', async () => {
    const headers = Object.fromEntries(SECRETS.map((name) => [name, 'x']));
    const ask = async (at: Gateway): Promise<string> =>
      (await fetch(`${at.url}/services/local/secrets`, { headers })).text();
    assert.equal(await ask(near), SECRETS.join(' '), 'the owner of the service asked for them');
    assert.equal(await ask(far), 'none');
  });

  void test('/services: an answer arrives as it is made, and ends at the service when its caller leaves', async () => {
    const caller = httpRequest(`${far.url}/services/local/slow`);
    caller.end();
    const [answer] = (await once(caller, 'response')) as [IncomingMessage];
    const [first] = (await once(answer, 'data')) as [Buffer];
    assert.equal(first.toString(), 'data: first\n\n');
    answer.on('error', () => undefined);
    caller.destroy();
    await seen.until(() => (seen.entries.includes('closed') ? true : undefined));
    open.length = 0;
  });

  void test('/openai: the unmodified client streams from the far gateway', async () => {
    const client = new OpenAI({ baseURL: `${far.url}/openai/v1`, apiKey: 'none', maxRetries: 0 });
    const messages = [{ role: 'user' as const, content: 'one two three' }];
    const words: (string | null | undefined)[] = [];
    for await (const part of await client.chat.completions.create({ model: 'org/chat', messages, stream: true })) {
      words.push(part.choices[0]!.delta.content);
    }
    assert.deepEqual(words, ['one', 'two', 'three', undefined]);
  });

  async function startStream(delayMs: number): Promise<string> {
    const response = await fetch(`${far.url}/v1/models/local/echo/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        input: { file: `data:text/plain,${encodeURIComponent(TEXT)}`, chunk_bytes: PART_BYTES, delay_ms: delayMs },
      }),
    });
    assert.equal(response.status, 202);
    return ((await response.json()) as Prediction).id;
  }

  void test('the parts of a prediction are followed at the gateway that does not run it', async () => {
    const id = await startStream(50);
    let text = '';
    let isEarly = false;
    for await (const event of createClient({ gateway: far.url }).stream(id)) {
      if (event.type !== 'output') continue;
      text += event.data;
      isEarly ||= text.length < TEXT.length && (await statusOf(id)) === 'processing';
    }
    assert.equal(text, TEXT);
    assert.ok(isEarly, 'parts came while it ran');
  });

  const statusOf = async (id: string): Promise<string> =>
    ((await (await fetch(`${far.url}/v1/predictions/${id}`)).json()) as Prediction).status;

  void test('the gateway that does the work is killed: answers are cut, streams go on where it is started again', async () => {
    const client = createClient({ gateway: far.url });
    const caller = httpRequest(`${far.url}/services/local/slow`);
    caller.end();
    const [answer] = (await once(caller, 'response')) as [IncomingMessage];
    await once(answer, 'data');
    const cut = once(answer, 'error');
    const id = await startStream(100);
    let text = '';
    let isKilled = false;
    let restarted: Promise<unknown> | null = null;
    for await (const event of client.stream(id)) {
      if (event.type === 'reset') text = '';
      if (event.type !== 'output') continue;
      text += event.data;
      if (isKilled || text.length < 5 * PART_BYTES) continue;
      isKilled = true;
      await near.kill();
      const [error] = (await cut) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNRESET', 'half an answer does not look like a whole one');
      // While nobody serves it the refusal says that one may ask again.
      const refused = await infer('x');
      assert.ok([502, 503].includes(refused.status), String(refused.status));
      assert.match(await refused.text(), /no_worker|gateway_lost|No (?:worker|gateway)/);
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
      restarted = system
        .gateway({ httpPort: near.httpPort, tunnelPort: near.tunnelPort }, { env })
        .then((gateway) => (near = gateway));
    }
    await restarted;
    assert.equal(text, TEXT);
    await until('an inference at the far gateway', 60_000, async () =>
      (await infer('again')).status === 200 ? true : null,
    );
  });
});

const EVERYTHING = [{ methods: ['GET', 'HEAD', 'POST'], path: '/**' }];
