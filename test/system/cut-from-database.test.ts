/** Two gateways, one of which is cut from their database without a word: its callers are sent to the other one, soon. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, until, untilModel, type Gateway } from '../support/postern.ts';
import { cannotRunPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { openProxy, type Proxy } from '../support/proxy.ts';

/** Far less than the 25 s that a call waits for a connection and an answer, and enough for a busy machine. */
const SOON_MS = 15_000;

void suite('a gateway that is cut from the database', { skip: cannotRunPostgres(), timeout: 280_000 }, () => {
  let postgres: TestPostgres;
  let way: Proxy;
  let system: PosternSystem;
  let well: Gateway;
  let cut: Gateway;

  before(async () => {
    postgres = await startPostgres();
    way = await openProxy(postgres.port);
    const database = await postgres.createDatabase();
    const env = { DATABASE_URL: postgres.tcpUrlOf(database) };
    system = new PosternSystem();
    well = await system.gateway({}, { env });
    const invited = ['invite', 'gpu-1', '--all-models', '--address', `127.0.0.1:${well.tunnelPort}`, '--json'];
    const { token } = JSON.parse(system.command('gateway', invited, env)) as { token: string };
    const folder = join(system.folder, 'gpu-1');
    system.command('worker', ['join', token], { POSTERN_IDENTITY_DIR: folder });
    for (const file of ['ca.key', 'ca.pem']) {
      cpSync(join(system.folder, 'gateway', 'identity', file), join(system.folder, 'second', 'identity', file));
    }
    const ofSecond = {
      DATABASE_URL: postgres.tcpUrlOf(database, way.port),
      POSTERN_DATA_DIR: join(system.folder, 'second'),
    };
    cut = await system.gateway({}, { env: ofSecond });
    system.worker(well, folder);
    for (const { url } of [well, cut]) await untilModel(url, 'echo');
  });
  after(async () => {
    await system.remove();
    await way.close();
    await postgres.remove();
  });

  const predict = (gateway: Gateway, input: object, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${gateway.url}/v1/models/local/echo/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ input }),
      signal: AbortSignal.timeout(SOON_MS),
    });
  const read = (gateway: Gateway, id: string, wait = 0): Promise<Response> =>
    fetch(`${gateway.url}/v1/predictions/${id}?wait=${wait}`, {
      signal: AbortSignal.timeout(SOON_MS + 1_000 * wait),
    });
  const inputOf = (text: string, more: object = {}): object => ({ file: `data:text/plain,${text}`, ...more });
  const ready = async (gateway: Gateway): Promise<number> => (await fetch(`${gateway.url}/readyz`)).status;

  void test('who waits there gets the id, who asks there is refused and may ask elsewhere, and what needs no record goes on', async () => {
    const before = (await (await predict(cut, inputOf('before'), { prefer: 'wait=60' })).json()) as Prediction;
    assert.equal(before.status, 'succeeded');
    const waited = predict(cut, inputOf('rose', { delay_ms: 4_000 }), { prefer: 'wait=60' });
    let known: string | undefined;
    await until('the job to run', 30_000, async () => {
      const list = (await (await fetch(`${well.url}/v1/predictions?status=processing`)).json()) as {
        results: Prediction[];
      };
      known = list.results[0]?.id;
      return known ?? null;
    });
    for (const one of way.connections) one.silence();
    way.onConnection = (one) => one.silence();

    // Together, while nobody there knows yet.
    const [answer, reading, submission] = await Promise.all([
      waited,
      read(cut, before.id),
      predict(cut, inputOf('lily'), { 'idempotency-key': 'lily' }),
    ]);
    const running = (await answer.json()) as Prediction;
    assert.deepEqual([answer.status, running.id], [202, known], JSON.stringify(running));
    for (const refused of [reading, submission]) {
      assert.equal(refused.status, 503);
      assert.match(await refused.text(), /storage_failed.*has not answered/s);
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    }
    assert.deepEqual([await ready(cut), await ready(well)], [503, 200]);
    const inferred = await fetch(`${cut.url}/v2/models/echo/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs: [{ name: 'input', shape: [1], datatype: 'BYTES', data: ['fern'] }] }),
    });
    assert.equal(inferred.status, 200, await inferred.text());

    const [lily, rose] = await Promise.all([
      predict(well, inputOf('lily'), { 'idempotency-key': 'lily', prefer: 'wait=30' }),
      until('the job to be decided', 60_000, async () => {
        const seen = (await (await read(well, running.id, 10)).json()) as Prediction;
        return seen.completed_at === null ? null : seen;
      }),
    ]);
    assert.equal(((await lily.json()) as Prediction).status, 'succeeded');
    assert.equal(rose.status, 'succeeded');
  });

  void test('it is ready again when the database is there again', async () => {
    way.onConnection = () => undefined;
    for (const one of way.connections) one.cut();
    await until('the gateway to be ready', 30_000, async () => ((await ready(cut)) === 200 ? true : null));
    const again = await predict(cut, inputOf('again'), { prefer: 'wait=30' });
    assert.equal(((await again.json()) as Prediction).status, 'succeeded');
  });
});
