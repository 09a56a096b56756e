/**
 * Versions as an operator changes them: by command and over HTTP, against real processes, while callers go on asking. What is
 * counted is what callers saw: no request fails, and each is answered by a version that was to serve it.
 */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import sharp from 'sharp';
import type { DeployedModel, VersionOnWorker } from '../../src/client/rollouts.ts';
import { makeVersionFolder } from '../support/model-versions.ts';
import { PosternSystem, until, untilModel, type Gateway } from '../support/postern.ts';
import { needPython } from '../support/python.ts';

const WAIT_MS = 60_000;

async function json<T>(url: string, body?: unknown): Promise<T> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(url, { ...init, headers: { 'content-type': 'application/json' } });
  const text = await response.text();
  assert.ok(response.ok, `${url}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

const deployed = (gateway: Gateway, model: string): Promise<DeployedModel> =>
  json(`${gateway.url}/v1/admin/models/${model}`);

async function untilDeployed(
  gateway: Gateway,
  what: string,
  is: (model: DeployedModel) => boolean,
  model = 'who',
): Promise<DeployedModel> {
  return until(what, WAIT_MS, async () => {
    const found = await deployed(gateway, model);
    return is(found) ? found : null;
  });
}

const states = ({ workers }: DeployedModel): string[] =>
  workers.flatMap(({ name, versions }) =>
    versions.map(
      ({ version, state, serves }: VersionOnWorker) => `${name} ${version} ${state}${serves ? ' serves' : ''}`,
    ),
  );

interface Prediction {
  readonly status: string;
  readonly version: string;
  readonly output: { readonly version: string };
  readonly error: string | null;
}

/** Callers that ask one after another until they are stopped; their answers by version, and everything that failed. */
function callers(t: TestContext, count: number, ask: () => Promise<Prediction>) {
  const answers = new Map<string, number>();
  const failures: string[] = [];
  let isOver = false;
  const all = Promise.all(
    Array.from({ length: count }, async () => {
      while (!isOver) {
        try {
          const { status, version, error } = await ask();
          if (status === 'succeeded') answers.set(version, (answers.get(version) ?? 0) + 1);
          else failures.push(`${status}: ${error}`);
        } catch (error) {
          failures.push(String(error));
        }
      }
    }),
  );
  // A test that fails before it stops them must not leave them asking for ever.
  t.after(() => {
    isOver = true;
  });
  return {
    answers,
    failures,
    /** Resolves when so many more were answered by this version. */
    async untilMore(version: string, more: number): Promise<void> {
      const enough = (answers.get(version) ?? 0) + more;
      await until(`${more} answers of version ${version}; failed: ${failures.slice(0, 3).join('; ')}`, WAIT_MS, () =>
        Promise.resolve((answers.get(version) ?? 0) >= enough ? true : null),
      );
    },
    async stop(): Promise<void> {
      isOver = true;
      await all;
    },
  };
}

const askJson =
  (gateway: Gateway, more: object = {}) =>
  (): Promise<Prediction> =>
    fetch(`${gateway.url}/v1/models/local/who/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=60' },
      body: JSON.stringify({ input: {}, ...more }),
    }).then((response) => response.json() as Promise<Prediction>);

void describe('versions of a model', () => {
  void test('Python: deploy, canary, rollback, a version that breaks, restarts, and no request fails', async (t) => {
    const python = needPython(t);
    if (python === null) return;
    const folder = await makeVersionFolder();
    t.after(() => folder.remove());
    await folder.python('who', '1');
    const system = new PosternSystem({
      modelsDir: folder.path,
      env: { POSTERN_PYTHON: python, POSTERN_MODEL_SOAK_MS: '600000' },
    });
    t.after(() => system.remove());
    const gateway = await system.gateway();
    const identity = system.issue('gpu-1');
    const worker = system.worker(gateway, identity);
    const second = system.worker(gateway, system.issue('gpu-2'));
    await untilModel(gateway.url, 'who');
    await untilDeployed(
      gateway,
      'both workers',
      (model) => states(model).filter((s) => s.endsWith('serves')).length === 2,
    );
    const at = ['--gateway', gateway.url];
    const command = (...words: string[]): string => system.command('gateway', ['models', ...words, ...at]);
    const load = callers(t, 6, askJson(gateway));
    await load.untilMore('1', 20);

    // A new folder is noticed; deployed by command, which ends when both serve it.
    await folder.python('who', '2');
    // The command waits for those that have it, and each looks for itself.
    await untilDeployed(
      gateway,
      'both workers to have found version 2',
      (model) => states(model).filter((state) => state.includes(' 2 ')).length === 2,
    );
    assert.match(command('deploy', 'who@2'), /^who@2 serves on 2 workers\.\nVersion 1 stays loaded for /);
    await load.untilMore('2', 20);
    const after = await deployed(gateway, 'who');
    assert.deepEqual(states(after), ['gpu-1 2 ready serves', 'gpu-1 1 ready', 'gpu-2 2 ready serves', 'gpu-2 1 ready']);
    const old = await askJson(gateway, { version: '1' })();
    assert.deepEqual(
      [old.status, old.output.version],
      ['succeeded', '1'],
      'the old one still serves those who name it',
    );

    // Rollback is a decision and nothing else: the very next one that is asked for is answered by version 1.
    assert.match(command('rollback', 'who'), /^who@1 serves on 2 workers\./);
    assert.equal((await askJson(gateway)()).version, '1');

    // A share.
    await json(`${gateway.url}/v1/admin/models/who/deploy`, { version: '2', weight: 25 });
    await untilDeployed(gateway, 'the canary', ({ rollout }) => rollout?.state === 'active');
    const before = new Map(load.answers);
    await load.untilMore('1', 90);
    const got = (version: string): number => (load.answers.get(version) ?? 0) - (before.get(version) ?? 0);
    const share = got('2') / (got('1') + got('2'));
    assert.ok(share > 0.15 && share < 0.35, `${got('2')} of ${got('1') + got('2')} for 25 %`);
    const { results } = await json<{ results: { name: string; versions: object[] }[] }>(`${gateway.url}/v1/models`);
    assert.deepEqual(results.find(({ name }) => name === 'who')?.versions, [
      { version: '1', state: 'ready', workers: 2, weight: 75, serving_workers: 2 },
      { version: '2', state: 'ready', workers: 2, weight: 25, serving_workers: 2 },
    ]);
    assert.match(command(), /who +1 75 %, 2 25 % +ready/);

    // One that cannot be loaded changes nothing, says why, and fails the command.
    await folder.python('who', '3', { setup: 'raise RuntimeError("no such weights")' });
    assert.throws(
      () => command('deploy', 'who@3'),
      (error: { status?: number; stderr?: Buffer }) => {
        assert.equal(error.status, 1);
        assert.match(String(error.stderr), /who@3 could not be loaded: .*no such weights.*\nwho@1 stays\./s);
        return true;
      },
    );
    assert.throws(() => command('deploy', 'who@9'), /no connected worker has who@9, only 1, 2, 3/);

    // The choice outlives the death of the worker: it begins with version 1, not with the newest.
    await worker.kill();
    system.worker(gateway, identity);
    await untilDeployed(gateway, 'gpu-1 again', (model) => states(model).includes('gpu-1 1 ready serves'));
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.deepEqual([...load.answers.keys()].sort(), ['1', '2']);

    // And the gateway's.
    await gateway.kill();
    const again = await system.gateway({ tunnelPort: gateway.tunnelPort });
    const back = await untilDeployed(
      again,
      'both again',
      (model) => states(model).filter((s) => s.endsWith('serves')).length === 2,
    );
    assert.deepEqual([back.rollout?.version, back.rollout?.failure?.version], ['1', '3']);
    assert.equal((await askJson(again)()).version, '1');
    const { results: entries } = await json<{ results: { action: string; target: string; actor: string }[] }>(
      `${again.url}/v1/admin/audit`,
    );
    const about = entries
      .filter(({ target }) => target === 'model:who')
      .map(({ action, actor }) => `${action} ${actor}`);
    assert.deepEqual(about.reverse(), [
      'model.deploy anonymous',
      'model.rollback anonymous',
      'model.deploy anonymous',
      'model.deploy anonymous',
      'model.revert gateway',
    ]);
    assert.equal(second.child.exitCode, null);
  });

  void test('a worker that deploys what appears: a newer version is served, a broken one and an older one are not', async (t) => {
    const python = needPython(t);
    if (python === null) return;
    const folder = await makeVersionFolder();
    t.after(() => folder.remove());
    await folder.python('who', '2');
    const env = { POSTERN_PYTHON: python, POSTERN_MODELS_WATCH: 'deploy', POSTERN_MODEL_SOAK_MS: '0' };
    const system = new PosternSystem({ modelsDir: folder.path, env });
    t.after(() => system.remove());
    const gateway = await system.gateway();
    system.worker(gateway, system.issue('gpu-1'));
    await untilModel(gateway.url, 'who');
    const load = callers(t, 2, askJson(gateway));
    await folder.python('who', '1');
    await untilDeployed(gateway, 'version 1 is noticed', (model) => states(model).includes('gpu-1 1 stored'));
    await folder.write('who', '3', { 'postern.yaml': 'postern: 1\nname: who\n' });
    await untilDeployed(gateway, 'version 3 is reported', (model) => states(model).includes('gpu-1 3 failed'));
    await folder.python('who', '10');
    const now = await untilDeployed(
      gateway,
      'version 10 alone',
      (model) => states(model).includes('gpu-1 10 ready serves') && states(model).includes('gpu-1 2 stored'),
    );
    assert.deepEqual([now.rollout?.version, now.rollout?.changed_by], ['10', 'worker:gpu-1']);
    await load.untilMore('10', 5);
    // Somebody goes back; that it lies there does not bring it forward again.
    await json(`${gateway.url}/v1/admin/models/who/rollback`, {});
    await load.untilMore('2', 5);
    await folder.python('who', '9');
    await untilDeployed(gateway, 'version 9 is noticed', (model) => states(model).includes('gpu-1 9 stored'));
    assert.equal((await deployed(gateway, 'who')).serving, '2');
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.deepEqual([...load.answers.keys()].sort(), ['10', '2']);
    await rm(join(folder.path, 'who', '3'), { recursive: true });
    await writeFile(join(folder.path, 'note.txt'), 'no model');
    await untilDeployed(
      gateway,
      'version 3 is forgotten',
      (model) => !states(model).some((state) => state.includes(' 3 ')),
    );
  });

  void test('memory for one version: refused beside the other, and with leave jobs wait and none fails', async (t) => {
    const python = needPython(t);
    if (python === null) return;
    const folder = await makeVersionFolder();
    t.after(() => folder.remove());
    const manifest = { memory_mb: Math.floor((totalmem() / 1024 / 1024) * 0.6) };
    await folder.python('who', '1', { manifest });
    const system = new PosternSystem({ modelsDir: folder.path, env: { POSTERN_PYTHON: python } });
    t.after(() => system.remove());
    const gateway = await system.gateway();
    system.worker(gateway, system.issue('gpu-1'));
    await untilModel(gateway.url, 'who');
    await folder.python('who', '2', { manifest });
    const deploy = (...more: string[]): string =>
      system.command('gateway', ['models', 'deploy', 'who@2', '--gateway', gateway.url, ...more]);
    const load = callers(t, 3, askJson(gateway));
    assert.throws(() => deploy(), /memory_mb: \d+ MB are needed.*--allow-downtime.*\nwho@1 stays\./s);
    await load.untilMore('1', 5);
    assert.match(deploy('--allow-downtime'), /^who@2 serves on 1 worker\./);
    await load.untilMore('2', 5);
    assert.deepEqual(states(await deployed(gateway, 'who')), ['gpu-1 2 ready serves', 'gpu-1 1 stored']);
    await load.stop();
    assert.deepEqual(load.failures, []);
  });

  void test('ONNX: photos are answered by one version or the other, and none fails', async (t) => {
    const folder = await makeVersionFolder();
    t.after(() => folder.remove());
    await folder.onnx('who', '1');
    const system = new PosternSystem({ modelsDir: folder.path, env: { POSTERN_MODEL_SOAK_MS: '0' } });
    t.after(() => system.remove());
    const gateway = await system.gateway();
    system.worker(gateway, system.issue('gpu-1'));
    await untilModel(gateway.url, 'who');
    const photo = await sharp({ create: { width: 64, height: 48, channels: 3, background: '#808080' } })
      .png()
      .toBuffer();
    const load = callers(t, 4, () =>
      fetch(`${gateway.url}/v1/models/local/who/predictions`, {
        method: 'POST',
        headers: { 'content-type': 'image/png', prefer: 'wait=60' },
        body: new Blob([photo]),
      }).then((response) => response.json() as Promise<Prediction>),
    );
    await load.untilMore('1', 10);
    for (const version of ['2', '3', '4']) {
      await folder.onnx('who', version);
      system.command('gateway', ['models', 'deploy', `who@${version}`, '--gateway', gateway.url]);
      await load.untilMore(version, 10);
      // What was replaced is unloaded beside the running load.
      const before = String(Number(version) - 1);
      await untilDeployed(gateway, `${before} unloaded`, (model) => states(model).includes(`gpu-1 ${before} stored`));
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.deepEqual([...load.answers.keys()].sort(), ['1', '2', '3', '4']);
  });
});
