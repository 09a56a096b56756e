/** A worker that is killed between its computation and the gateway's ack: the next run delivers what was computed. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';
import { openProxy, type Proxy } from '../support/proxy.ts';

suite('a result that was computed and not acked', { timeout: 120_000 }, () => {
  const system = new PosternSystem({ env: { POSTERN_STORE: 'sqlite' } });
  let gateway: Gateway;
  let worker: Process;
  let identity: string;
  let link: Proxy;

  const start = (): Process => system.worker(gateway, identity, { TARGET_PORT: String(link.port) });
  const read = async (id: string, query = ''): Promise<Prediction> =>
    (await (await fetch(`${gateway.url}/v1/predictions/${id}${query}`)).json()) as Prediction;
  const spooled = async (): Promise<number> => {
    const names = await readdir(join(identity, 'data', 'spool', 'gpu-1'));
    return names.filter((name) => name.endsWith('.spool')).length;
  };

  before(async () => {
    gateway = await system.gateway();
    link = await openProxy(gateway.tunnelPort);
    identity = system.issue('gpu-1');
    worker = start();
    await untilModel(gateway.url, 'echo');
  });
  after(async () => {
    await system.remove();
    await link.close();
  });

  /** Two predictions: one that the worker finishes after its link fell silent, and one that it never finishes. */
  async function leaveBehind(): Promise<{ finished: string; unfinished: string }> {
    const submit = async (delayMs: number): Promise<string> => {
      const response = await fetch(`${gateway.url}/v1/models/local/echo/predictions?delay_ms=${delayMs}`, {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: `waited ${delayMs} ms`,
      });
      return ((await response.json()) as { id: string }).id;
    };
    const [finished, unfinished] = [await submit(1_000), await submit(20_000)];
    await until('both to run', 10_000, async () => {
      const states = [await read(finished), await read(unfinished)].map(({ status }) => status);
      return states.every((status) => status === 'processing') ? true : null;
    });
    link.connections.at(-1)?.silence();
    await until('the result to be on the disk', 10_000, async () => ((await spooled()) > 0 ? true : null));
    assert.equal((await read(finished)).status, 'processing', 'the gateway has not heard of it');
    await worker.kill();
    return { finished, unfinished };
  }

  async function check({ finished, unfinished }: { finished: string; unfinished: string }): Promise<void> {
    const done = await read(finished, '?wait=30');
    assert.equal(done.status, 'succeeded');
    assert.equal(done.attempt, 1, 'it was not computed again');
    assert.equal(done.output, `data:application/octet-stream;base64,${btoa('waited 1000 ms')}`);
    const again = await until('the other one to run again', 10_000, async () => {
      const other = await read(unfinished);
      return other.attempt === 2 && other.status === 'processing' ? other : null;
    });
    assert.equal(again.worker, 'gpu-1');
    await fetch(`${gateway.url}/v1/predictions/${unfinished}/cancel`, { method: 'POST' });
    await until('the spool to be empty', 10_000, async () => ((await spooled()) === 0 ? true : null));
  }

  void test('arrives from the next run of its worker; what that run had not finished runs again at once', async () => {
    const left = await leaveBehind();
    worker = start();
    await check(left);
  });

  void test('arrives also when the gateway was killed meanwhile', async () => {
    const left = await leaveBehind();
    await gateway.kill();
    gateway = await system.gateway(gateway);
    worker = start();
    await check(left);
  });
});
