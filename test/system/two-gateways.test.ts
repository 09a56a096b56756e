/** Two gateways on one PostgreSQL, and a worker that has dialled only one of them. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { GatewaySummary, Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, until, untilModel, type Gateway } from '../support/postern.ts';
import { cannotRunPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';

/** What the worker takes at once; the echo as it is delivered takes 1,024, and nothing would ever wait. */
const CONCURRENCY = 16;

void suite('two gateways on one database', { skip: cannotRunPostgres(), timeout: 280_000 }, () => {
  let postgres: TestPostgres;
  let system: PosternSystem;
  let near: Gateway;
  let far: Gateway;
  let env: Record<string, string>;
  const ofSecond = (): Record<string, string> => ({ ...env, POSTERN_DATA_DIR: join(system.folder, 'second') });

  before(async () => {
    postgres = await startPostgres();
    env = { DATABASE_URL: postgres.tcpUrlOf(await postgres.createDatabase()) };
    system = new PosternSystem();
    near = await system.gateway({}, { env });
    // The worker's certificate is made by one of them, and counts at both.
    const token = JSON.parse(
      system.command(
        'gateway',
        ['invite', 'gpu-1', '--all-models', '--address', `127.0.0.1:${near.tunnelPort}`, '--json'],
        env,
      ),
    ) as { token: string };
    const folder = join(system.folder, 'gpu-1');
    system.command('worker', ['join', token.token], { POSTERN_IDENTITY_DIR: folder });
    // No more than what docs/scaling.md says.
    for (const file of ['ca.key', 'ca.pem']) {
      cpSync(join(system.folder, 'gateway', 'identity', file), join(system.folder, 'second', 'identity', file));
    }
    far = await system.gateway({}, { env: ofSecond() });
    system.worker(near, folder, { POSTERN_MODELS_DIR: narrowEcho(join(system.folder, 'models')) });
    await untilModel(near.url, 'echo');
  });
  after(async () => {
    await system.remove();
    await postgres.remove();
  });

  const ask = (gateway: Gateway, path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${gateway.url}${path}`, init);
  const predict = (gateway: Gateway, text: string, headers: Record<string, string> = {}): Promise<Response> =>
    ask(gateway, '/v1/models/local/echo/predictions', {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', ...headers },
      body: text,
    });

  void test('a prediction asked for where there is no worker is run where there is one, and waited for where it was asked for', async () => {
    await until('the far gateway to know the model', 30_000, async () =>
      (await (await ask(far, '/v1/models')).text()).includes('"echo"') ? true : null,
    );
    const response = await predict(far, 'from afar', { prefer: 'wait=60' });
    const prediction = (await response.json()) as Prediction;
    assert.equal(prediction.status, 'succeeded', JSON.stringify(prediction));
    assert.equal(await (await ask(near, `/v1/predictions/${prediction.id}/output`)).text(), 'from afar');
  });

  void test('each knows of the other, and who serves what', async () => {
    const list = (gateway: Gateway): GatewaySummary[] =>
      JSON.parse(system.command('gateway', ['gateways', '--gateway', gateway.url, '--json'], env)) as GatewaySummary[];
    await until('the far gateway to know what the near one serves', 30_000, () =>
      Promise.resolve(list(far).some(({ answers, models }) => !answers && models.length > 0) ? true : null),
    );
    const [own, other] = list(far);
    assert.deepEqual([own?.answers, own?.state, own?.sessions], [true, 'serving', 0]);
    assert.deepEqual([other?.answers, other?.state, other?.sessions], [false, 'serving', 1]);
    assert.ok(other?.models.some(({ name, sessions }) => name === 'echo' && sessions === 1));
    assert.equal(list(near)[0]?.id, other?.id);
    assert.match(system.command('gateway', ['gateways', '--gateway', near.url], env), /\* +\S+ +serving +now +1 /);
  });

  void test('many at both at once are each decided once, wherever they are read', async () => {
    const COUNT = 60;
    const ids = await Promise.all(
      Array.from({ length: COUNT }, async (_, n) => {
        const response = await predict(n % 2 === 0 ? near : far, `text ${n}`);
        assert.equal(response.status, 202);
        return ((await response.json()) as Prediction).id;
      }),
    );
    assert.equal(new Set(ids).size, COUNT);
    for (const [n, id] of ids.entries()) {
      const other = n % 2 === 0 ? far : near;
      const prediction = (await (await ask(other, `/v1/predictions/${id}?wait=60`)).json()) as Prediction;
      assert.equal(prediction.status, 'succeeded');
      assert.equal(await (await ask(other, `/v1/predictions/${id}/output`)).text(), `text ${n}`);
    }
  });

  void test('both tell the same of the whole: the queue, the workers, the gateways', async () => {
    // More than the worker takes at once, each for a minute: some run, the others wait, and both gateways have taken some of them.
    const COUNT = 80;
    const ids = await Promise.all(
      Array.from({ length: COUNT }, async (_, n) => {
        const gateway = n % 2 === 0 ? near : far;
        const path = '/v1/models/local/echo/predictions?delay_ms=60000';
        const response = await ask(gateway, path, {
          method: 'POST',
          body: 'x',
          headers: { 'content-type': 'application/octet-stream' },
        });
        return ((await response.json()) as Prediction).id;
      }),
    );
    const figures = async (gateway: Gateway): Promise<Record<string, string>> => {
      const page = await (await ask(gateway, '/metrics')).text();
      return Object.fromEntries(
        [...page.matchAll(/^(postern_\w+)(?:\{model="echo"\})? ([^ \n]+)$/gm)].map(([, name, value]) => [
          name!,
          value!,
        ]),
      );
    };
    const shared = [
      'queue_jobs',
      'queue_rows',
      'in_flight_jobs',
      'credit_rows',
      'capacity_rows',
      'model_workers',
      'gateways',
    ];
    const [a, b] = await until('both to agree', 60_000, async () => {
      const both = await Promise.all([figures(near), figures(far)]);
      const sum = Number(both[0].postern_queue_jobs) + Number(both[0].postern_in_flight_jobs);
      const agree = shared.every((name) => both[0][`postern_${name}`] === both[1][`postern_${name}`]);
      return sum === COUNT && agree && both[0].postern_gateways === '2' && both[0].postern_model_workers === '1'
        ? both
        : null;
    });
    assert.ok(Number(a.postern_queue_jobs) > 0 && Number(a.postern_in_flight_jobs) > 0, JSON.stringify(a));
    assert.ok(Number(a.postern_queue_oldest_seconds) >= 0 && Number(b.postern_queue_seconds) >= 0);
    assert.equal(Number(a.postern_worker_sessions) + Number(b.postern_worker_sessions) > 0, true);
    const members = async (gateway: Gateway): Promise<string[]> => {
      const { gateways } = (await (await ask(gateway, '/v1/scaling?model=echo')).json()) as {
        gateways: { count: number; members: { id: string }[] };
      };
      return gateways.members.map(({ id }) => id).sort();
    };
    assert.deepEqual(await members(near), await members(far));
    await Promise.all(ids.map((id) => ask(far, `/v1/predictions/${id}/cancel`, { method: 'POST' })));
  });

  void test('what they cannot share without a bucket is said by each, and by doctor', async () => {
    const ready = (await (await ask(far, '/readyz')).json()) as { local?: string[] };
    assert.deepEqual(ready.local, ['files', 'photos']);
    const doctor = JSON.parse(system.command('worker', ['doctor', '--gateway', near.url, '--json'])) as {
      checks: { name: string; verdict: string; detail: string }[];
    };
    const http = doctor.checks.find(({ name }) => name === 'http');
    assert.equal(http?.verdict, 'warn');
    assert.match(http.detail, /on that machine alone, although it has a database: files, photos/);
  });

  void test('a gateway with another authority does not start, and says what it lacks', async () => {
    const stranger = { ...env, POSTERN_DATA_DIR: join(system.folder, 'stranger') };
    await assert.rejects(
      system.gateway({}, { env: stranger }),
      /ca\.key is missing, and workers trust the authority with that key: copy/,
    );
  });

  void test('what is taken back at one is taken back at the other', async () => {
    const made = JSON.parse(system.command('gateway', ['keys', 'create', 'ana', '--json'], env)) as { key: string };
    const authorization = `Bearer ${made.key}`;
    // As long as it knows of no key, it asks for none.
    await until('the far gateway to ask for a key', 30_000, async () =>
      (await ask(far, '/v1/predictions?limit=1')).status === 401 ? true : null,
    );
    assert.equal((await ask(far, '/v1/predictions?limit=1', { headers: { authorization } })).status, 200);
    system.command('gateway', ['revoke', 'gpu-1'], ofSecond());
    await until('the session at the near gateway to end', 30_000, async () => {
      const text = await (await ask(near, '/v1/workers', { headers: { authorization } })).text();
      return text.includes('"revoked"') || !text.includes('"connected"') ? true : null;
    });
    assert.match(system.command('gateway', ['audit', 'verify'], env), /intact|whole|unchanged/i);
  });
});

/** A folder of models with the echo alone, of which few run at once. */
function narrowEcho(folder: string): string {
  cpSync(new URL('../../models/echo', import.meta.url), join(folder, 'echo'), { recursive: true });
  const file = join(folder, 'echo', '1', 'postern.yaml');
  const manifest = readFileSync(file, 'utf8').replace(/^concurrency: .*$/m, `concurrency: ${CONCURRENCY}`);
  assert.ok(manifest.includes(`concurrency: ${CONCURRENCY}\n`), manifest);
  writeFileSync(file, manifest);
  return folder;
}
