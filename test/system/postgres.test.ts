/** A gateway whose jobs are in PostgreSQL: begun on SQLite, moved, killed, and back. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, suite, test } from 'node:test';
import type { Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, until, untilModel, type Gateway } from '../support/postern.ts';
import { cannotRunPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';

suite('jobs in PostgreSQL', { skip: cannotRunPostgres(), timeout: 120_000 }, () => {
  let postgres: TestPostgres;
  let system: PosternSystem;
  let env: Record<string, string>;

  before(async () => {
    postgres = await startPostgres();
    env = { DATABASE_URL: postgres.tcpUrlOf(await postgres.createDatabase()) };
    system = new PosternSystem();
  });
  after(async () => {
    await system.remove();
    await postgres.remove();
  });

  async function submit({ url }: Gateway, bytes: Buffer<ArrayBuffer>): Promise<string> {
    const response = await fetch(`${url}/v1/models/local/echo/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: bytes,
    });
    assert.equal(response.status, 202);
    return ((await response.json()) as Prediction).id;
  }
  async function output({ url }: Gateway, id: string): Promise<Buffer> {
    const prediction = (await (await fetch(`${url}/v1/predictions/${id}?wait=60`)).json()) as Prediction;
    assert.equal(prediction.status, 'succeeded', JSON.stringify(prediction).slice(0, 500));
    return Buffer.from(await (await fetch(`${url}/v1/predictions/${id}/output`)).arrayBuffer());
  }

  test('what SQLite had accepted is worked off from PostgreSQL, also by the gateway after a killed one', async () => {
    let gateway = await system.gateway();
    const worker = system.worker(gateway, system.issue('gpu-1'));
    await untilModel(gateway.url, 'echo');
    // The sweep writes it down, about once a second; the gateways after this one know the model from there.
    await until('the model to be remembered', 30_000, () => {
      const jobs = new DatabaseSync(join(system.folder, 'gateway', 'jobs.sqlite'), { readOnly: true });
      try {
        const { n } = jobs.prepare('SELECT count(*) AS n FROM known_model').get() as { n: number };
        return Promise.resolve(n > 0 ? true : null);
      } finally {
        jobs.close();
      }
    });
    await worker.kill();
    const [old, fresh] = [randomBytes(3_000_000), randomBytes(2_000_000)];
    const oldId = await submit(gateway, old);
    const { httpPort, tunnelPort } = gateway;
    assert.throws(() => system.command('gateway', ['migrate', '--move-jobs'], env), /a gateway runs/);
    await gateway.kill();
    const moved = JSON.parse(system.command('gateway', ['migrate', '--move-jobs', '--json'], env)) as {
      moved: { jobs: number };
    };
    assert.equal(moved.moved.jobs, 1);
    assert.match(system.command('gateway', ['migrate', '--check'], env), /this release runs on it/);

    gateway = await system.gateway({ httpPort, tunnelPort }, { env });
    const freshId = await submit(gateway, fresh);
    await gateway.kill();
    gateway = await system.gateway({ httpPort, tunnelPort }, { env });
    system.worker(gateway, join(system.folder, 'gpu-1'));
    assert.ok(old.equals(await output(gateway, oldId)));
    assert.ok(fresh.equals(await output(gateway, freshId)));
    assert.equal(existsSync(join(system.folder, 'gateway', 'jobs.sqlite')), true, 'the file stays as it was');
  });
});
