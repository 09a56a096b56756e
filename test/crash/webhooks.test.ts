/** Webhooks of the whole chain, with real processes: what was decided is told, also when the gateway is killed in between. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { PosternSystem, until, untilModel } from '../support/postern.ts';
import { startWebServer } from '../support/web-server.ts';

const MODEL = '/v1/models/local/echo/predictions';
const JOBS = 40;
const POSTERN = new URL('../../bin/postern.mjs', import.meta.url).pathname;

async function submit(url: string, webhook: string, text: string, events = 'start,completed'): Promise<string> {
  const query = new URLSearchParams({ webhook, webhook_events_filter: events });
  const response = await fetch(`${url}${MODEL}?${query.toString()}`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: text,
  });
  const { id } = (await response.json()) as { id: string };
  assert.equal(response.status, 202);
  return id;
}

void test('a gateway that is killed while it tells of decisions tells all of them in the end', async (t) => {
  const system = new PosternSystem({ env: { POSTERN_STORE: 'sqlite', POSTERN_OUTBOUND_ALLOW: '127.0.0.1' } });
  t.after(() => system.remove());
  // Holds its first answers back: the gateway dies with attempts under way, and with others that it has not begun.
  let isHolding = true;
  const told = new Map<string, number>();
  const { received, port } = await startWebServer(t, {
    respond({ headers, body }, response) {
      if (isHolding) return;
      const { status } = JSON.parse(body.toString()) as { status: string };
      const id = String(headers['webhook-id']);
      if (status === 'succeeded') told.set(id, (told.get(id) ?? 0) + 1);
      response.writeHead(204).end();
    },
  });
  const first = await system.gateway();
  system.worker(first, system.issue('gpu-1'));
  await untilModel(first.url, 'echo');
  const hook = `http://127.0.0.1:${port}/hook`;
  const ids = await Promise.all(
    Array.from({ length: JOBS }, (_, n) => submit(first.url, hook, `job ${n}`, 'completed')),
  );
  await received.until(() => received.entries.length >= 4);
  await first.kill();
  isHolding = false;
  await system.gateway(first);
  const wanted = ids.map((id) => `msg_${id}_completed`);
  await until('every decision to be told', 120_000, () => Promise.resolve(wanted.every((id) => told.has(id)) || null));
  assert.deepEqual([...told.keys()].sort(), wanted.sort());
});

void test('the example verifies what a gateway sends, and nothing else', async (t) => {
  const system = new PosternSystem({ env: { POSTERN_OUTBOUND_ALLOW: '127.0.0.1' } });
  t.after(() => system.remove());
  const gateway = await system.gateway();
  system.worker(gateway, system.issue('gpu-1'));
  await untilModel(gateway.url, 'echo');
  const secret = (await (await fetch(`${gateway.url}/v1/webhooks/default/secret`)).json()) as { key: string };
  const told = execFileSync(process.execPath, [POSTERN, 'webhooks', 'secret', '--json'], {
    env: { ...process.env, POSTERN_DATA_DIR: join(system.folder, 'gateway') },
  });
  assert.deepEqual(JSON.parse(told.toString()), { caller: 'anonymous', key: secret.key });
  const program = new URL('../../examples/webhook-receiver/receiver.ts', import.meta.url).pathname;
  const receiver = spawn(process.execPath, [program], {
    env: { PATH: process.env.PATH, WEBHOOK_SECRET: secret.key, PORT: '0' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => receiver.kill());
  const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => ((await lines.next()) as { value: string }).value;
  const address = (await nextLine()).replace('listening on ', '');
  const forged = await fetch(address, { method: 'POST', body: '{}' });
  assert.equal(forged.status, 401);
  const id = await submit(gateway.url, `${address}/hook`, 'a rose');
  const shown: string[] = [];
  for (;;) {
    shown.push(await nextLine());
    if (shown.at(-1)?.startsWith(`${id} succeeded`)) break;
  }
  const prediction = await until('the delivery to be recorded', 30_000, async () => {
    const view = (await (await fetch(`${gateway.url}/v1/predictions/${id}`)).json()) as {
      webhook_deliveries: { event: string; status: string; answer: number | null }[];
    };
    return view.webhook_deliveries.every(({ status }) => status === 'delivered') ? view : null;
  });
  assert.deepEqual(
    prediction.webhook_deliveries.map(({ event, answer }) => [event, answer]),
    [
      ['start', 204],
      ['completed', 204],
    ],
  );
});
