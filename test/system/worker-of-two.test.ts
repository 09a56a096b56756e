/** One worker that was told of one gateway serves two on one PostgreSQL, and goes on when one of them is killed. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';
import { cannotRunPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';

void suite('one worker of two gateways', { skip: cannotRunPostgres(), timeout: 280_000 }, () => {
  let postgres: TestPostgres;
  let system: PosternSystem;
  let first: Gateway;
  let second: Gateway;
  let worker: Process;
  let env: Record<string, string>;
  const ofSecond = (): Record<string, string> => ({ ...env, POSTERN_DATA_DIR: join(system.folder, 'second') });

  before(async () => {
    postgres = await startPostgres();
    env = {
      DATABASE_URL: postgres.tcpUrlOf(await postgres.createDatabase()),
      // Without a port: each is reached at the one that the system gave it.
      POSTERN_TUNNEL_ADDRESS: '127.0.0.1',
      POSTERN_DRAIN_MS: '1000',
    };
    system = new PosternSystem();
    first = await system.gateway({}, { env });
    const address = `127.0.0.1:${first.tunnelPort}`;
    const invited = system.command('gateway', ['invite', 'gpu-1', '--all-models', '--address', address, '--json'], env);
    const folder = join(system.folder, 'gpu-1');
    system.command('worker', ['join', (JSON.parse(invited) as { token: string }).token], {
      POSTERN_IDENTITY_DIR: folder,
    });
    cpSync(join(system.folder, 'gateway', 'identity'), join(system.folder, 'second', 'identity'), { recursive: true });
    second = await system.gateway({}, { env: ofSecond() });
    worker = system.worker(first, folder);
    await untilModel(first.url, 'echo');
    await untilModel(second.url, 'echo');
  });
  after(async () => {
    await system.remove();
    await postgres.remove();
  });

  const submit = async ({ url }: Gateway, text: string, delayMs = 0): Promise<string> => {
    const response = await fetch(`${url}/v1/models/local/echo/predictions?delay_ms=${delayMs}`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: text,
    });
    assert.equal(response.status, 202, await response.clone().text());
    return ((await response.json()) as Prediction).id;
  };
  const decided = async ({ url }: Gateway, id: string): Promise<Prediction> =>
    (await (await fetch(`${url}/v1/predictions/${id}?wait=60`)).json()) as Prediction;
  /** Nothing of it is recorded, so it is answered by the gateway that was asked and its own session. */
  const infer = ({ url }: Gateway, text: string): Promise<Response> =>
    fetch(`${url}/v2/models/echo/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs: [{ name: 'input', datatype: 'BYTES', shape: [1], data: [text] }] }),
    });
  interface Seen {
    readonly session: string;
    readonly state: string;
    readonly models: readonly { readonly in_flight_jobs: number }[];
  }
  const workersAt = async ({ url }: Gateway): Promise<Seen[]> => {
    const { results } = (await (await fetch(`${url}/v1/workers`)).json()) as { results: Seen[] };
    return results.filter(({ state }) => state === 'connected');
  };
  const inFlightAt = async (gateway: Gateway): Promise<number> =>
    (await workersAt(gateway)).flatMap(({ models }) => models).reduce((sum, { in_flight_jobs: jobs }) => sum + jobs, 0);
  /** Jobs that the worker has, some of them of the first gateway. Whoever asks first takes all that waits, so it may need another try. */
  async function runAtBoth(text: string, delayMs: number): Promise<string[]> {
    const ids: string[] = [];
    await until('the first gateway to have some of it with its worker', 60_000, async () => {
      const more = Array.from({ length: 16 }, (_, n) => submit(n % 2 === 0 ? first : second, `${text} ${n}`, delayMs));
      ids.push(...(await Promise.all(more)));
      return until('all of it to be with the worker', 30_000, async () => {
        const jobs = await inFlightAt(first);
        return jobs + (await inFlightAt(second)) === ids.length ? { jobs } : null;
      }).then(({ jobs }) => (jobs > 0 ? jobs : null));
    });
    return ids;
  }

  void test('what is not recorded is answered by both, over sessions of their own', async () => {
    for (const gateway of [first, second]) {
      const response = await infer(gateway, 'once');
      assert.equal(response.status, 200, await response.clone().text());
      assert.match(await response.text(), /once/);
    }
    const [[atFirst], [atSecond]] = [await workersAt(first), await workersAt(second)];
    assert.ok(atFirst && atSecond && atFirst.session !== atSecond.session);
  });

  void test('a gateway is killed: what its worker computes for it arrives through the other one, once, and the worker goes on', async () => {
    // More than a lease (18 s), which the gateway that is killed can renew no more.
    const delayMs = 24_000;
    const ids = await Promise.all(
      Array.from({ length: 16 }, (_, n) => submit(n % 2 === 0 ? first : second, `text ${n}`, delayMs)),
    );
    const held = await until('the first gateway to have some of it with its worker', 30_000, async () => {
      const jobs = await inFlightAt(first);
      return jobs > 0 && jobs + (await inFlightAt(second)) === ids.length ? jobs : null;
    });
    await first.kill();
    let again = 0;
    for (const [n, id] of ids.entries()) {
      const prediction = await decided(second, id);
      assert.equal(prediction.status, 'succeeded', JSON.stringify(prediction));
      if (prediction.attempt > 1) again += 1;
      const output = await (await fetch(`${second.url}/v1/predictions/${id}/output`)).text();
      assert.equal(output, `text ${n}`);
    }
    // What was still on the wire when it was killed begins anew; the rest is not computed a second time.
    assert.ok(again < held, `${again} of ${held} were`);
    assert.match(worker.log(), /ends are delivered by another gateway/);
    assert.equal((await infer(second, 'goes on')).status, 200);
  });

  void test('the gateway that comes back is dialled again', async () => {
    first = await system.gateway({ httpPort: Number(new URL(first.url).port), tunnelPort: first.tunnelPort }, { env });
    await untilModel(first.url, 'echo', 60_000);
    assert.equal((await infer(first, 'back')).status, 200);
    assert.equal((await decided(second, await submit(first, 'recorded'))).status, 'succeeded');
  });

  void test('a gateway ends before what its worker computes: that goes on, and is not begun anew', async () => {
    const ids = await runAtBoth('long', 8_000);
    await first.stop();
    for (const id of ids) {
      const { status, attempt } = await decided(second, id);
      assert.deepEqual([status, attempt], ['succeeded', 1]);
    }
  });

  void test('a job that goes on without its gateway can be canceled', async () => {
    first = await system.gateway({ httpPort: Number(new URL(first.url).port), tunnelPort: first.tunnelPort }, { env });
    await untilModel(first.url, 'echo', 60_000);
    const ids = await runAtBoth('longer', 60_000);
    await first.kill();
    for (const id of ids) {
      assert.ok((await fetch(`${second.url}/v1/predictions/${id}/cancel`, { method: 'POST' })).ok);
    }
    // Within the time between two words of the worker, far from its own end.
    const ends = await Promise.all(ids.map((id) => decided(second, id)));
    assert.deepEqual(new Set(ends.map(({ status }) => status)), new Set(['canceled']));
    await worker.stop();
    assert.doesNotMatch(worker.log(), /flow_control|protocol_error|worker_locked/);
  });
});
