/**
 * The main job on two hosts: the gateway on a public one, the worker on a private one that drops every connection made
 * towards it. Real processes, started as a user would start them.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import sharp from 'sharp';
import { cannotMakeHosts, makeTwoHosts } from '../support/netns.ts';
import { needsProgram } from '../support/needs.ts';
import { PosternSystem, until } from '../support/postern.ts';

const skip = cannotMakeHosts() || needsProgram('curl', 'ss');

void test(
  'a worker behind a closed door serves callers, and listens on nothing',
  { skip, timeout: 120_000 },
  async (t) => {
    const hosts = makeTwoHosts();
    const inside = (host: string, ...command: string[]): string =>
      execFileSync('ip', ['netns', 'exec', host, ...command], { timeout: 70_000, maxBuffer: 1 << 24 }).toString();
    const system = new PosternSystem({
      gatewayPrefix: ['ip', 'netns', 'exec', hosts.publicHost],
      workerPrefix: ['ip', 'netns', 'exec', hosts.privateHost],
      tunnelHost: '0.0.0.0',
      targetHost: hosts.publicAddress,
    });
    t.after(async () => {
      await system.remove();
      hosts.remove();
    });

    const gateway = await system.gateway();
    const worker = system.worker(gateway, system.join(gateway, 'gpu-1', 'echo', 'plants'));
    // The caller is on the public host: the gateway's HTTP port is on its loopback.
    const http = (...args: string[]): string => inside(hosts.publicHost, 'curl', '-sS', ...args);
    const ready = (model: string): Promise<true> =>
      until(`the model ${model}`, 30_000, () =>
        Promise.resolve(
          (JSON.parse(http(`${gateway.url}/v1/models/local/${model}`)) as { state?: string }).state === 'ready'
            ? true
            : null,
        ),
      );
    await ready('echo');
    await ready('plants');

    const photo = `${system.folder}/photo.jpg`;
    await sharp({ create: { width: 900, height: 700, channels: 3, background: '#3a7a2a' } })
      .jpeg()
      .toFile(photo);
    const classify = (): { status: string; output: { predictions: { label: string; score: number }[] } } =>
      JSON.parse(
        http('-F', `image=@${photo}`, '-H', 'Prefer: wait', `${gateway.url}/v1/models/local/plants/predictions`),
      ) as ReturnType<typeof classify>;
    const prediction = classify();
    assert.equal(prediction.status, 'succeeded');
    assert.equal(prediction.output.predictions.length, 5);

    // Nothing listens on the private host, on any protocol or address …
    assert.equal(inside(hosts.privateHost, 'ss', '-H', '-l', '-n', '-t', '-u').trim(), '');
    // … and every link of the worker's is one that it dialled: the far end is the tunnel port.
    const links = inside(hosts.privateHost, 'ss', '-H', '-n', '-t', 'state', 'established').trim().split('\n');
    for (const link of links) assert.match(link, new RegExp(`${hosts.publicAddress}:${gateway.tunnelPort}\\s*$`));
    // The door is really closed: the public host cannot open a connection to the private one.
    assert.throws(() =>
      inside(
        hosts.publicHost,
        'curl',
        '-sS',
        '--max-time',
        '2',
        `http://${hosts.privateAddress}:${gateway.tunnelPort}/`,
      ),
    );

    await t.test('a link that is cut and mended is dialled again, without anybody', async () => {
      hosts.setLink(false);
      await until('the gateway to notice', 25_000, () => {
        const { results } = JSON.parse(http(`${gateway.url}/v1/workers`)) as { results: { state: string }[] };
        return Promise.resolve(results.some(({ state }) => state === 'connected') ? null : true);
      });
      hosts.setLink(true);
      await until('the worker to be back', 45_000, () => {
        const { results } = JSON.parse(http(`${gateway.url}/v1/workers`)) as { results: { state: string }[] };
        return Promise.resolve(results.some(({ state }) => state === 'connected') ? true : null);
      });
      assert.equal(classify().status, 'succeeded');
      assert.equal(worker.child.exitCode, null);
    });

    await worker.stop();
    await gateway.stop();
  },
);
