/** `postern worker install` on a machine with a systemd of its own: installed, replaced while a job runs, and not replaced by what is broken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeReleaseSource } from '../support/release-source.ts';
import { until } from '../support/postern.ts';
import { lacking } from '../support/needs.ts';
import { bootSystemd, cannotBootSystemd } from '../support/systemd-machine.ts';

const ROOT = new URL('../../', import.meta.url).pathname.replace(/\/$/, '');
const POSTERN = `${process.execPath} ${ROOT}/bin/postern.mjs`;
const UNIT = 'postern-worker';

void test(
  'a worker is installed as a unit, replaced when it has ended its job, and left as it was by a release that is broken',
  { skip: cannotBootSystemd(), timeout: 280_000 },
  async (t) => {
    const source = makeReleaseSource();
    const machine = await bootSystemd([ROOT, source.folder]);
    t.after(async () => {
      await machine?.remove();
      source.remove();
    });
    if (machine === null) return t.skip(lacking('a systemd cannot be booted in namespaces here'));
    // The echo model alone: this is about the unit.
    await machine.ssh(`mkdir -p /srv/models /srv/gateway && cp -r ${ROOT}/models/echo /srv/models/`);
    const gatewayEnv = 'env POSTERN_DATA_DIR=/srv/gateway POSTERN_GUIDES_DIR=/srv/none';
    await machine.ssh(
      `systemd-run --quiet --unit=gateway ${gatewayEnv} POSTERN_TUNNEL_HOST=127.0.0.1 ${POSTERN} gateway`,
    );
    const curl = (words: string): Promise<string> => machine.ssh(`curl -sS --max-time 50 ${words}`);
    const install = (more = ''): Promise<string> =>
      machine.ssh(
        `cd /srv && TARGET_HOST=127.0.0.1 POSTERN_MODELS_DIR=/srv/models ${POSTERN} worker install --source ${source.folder} ${more} 2>&1`,
      );
    await until('the gateway', 60_000, () => curl('-f http://127.0.0.1:8080/livez').catch(() => null));

    assert.match(
      await install(),
      /It has no identity yet: \/opt\/postern-worker\/postern join <token>, and install again/,
    );
    const invited = await machine.ssh(`${gatewayEnv} ${POSTERN} invite gpu-1 --all-models --address 127.0.0.1 --json`);
    const { token } = JSON.parse(invited) as { token: string };
    await machine.ssh(`/opt/postern-worker/postern join ${token} 2>&1`);
    const first = /The worker runs release ([0-9a-f]{16})/.exec(await install())?.[1];
    assert.ok(first);
    const processOf = async (): Promise<string> =>
      (await machine.ssh(`systemctl show -p MainPID --value ${UNIT}`)).trim();
    const firstPid = await processOf();
    assert.equal((await machine.ssh(`ps -o user= -p ${firstPid}`)).trim(), 'postern-worker');
    assert.equal((await machine.ssh(`systemctl is-enabled ${UNIT}`)).trim(), 'enabled');

    const PREDICTIONS = 'http://127.0.0.1:8080/v1/models/local/echo/predictions';
    const ask = async (text: string, delayMs: number): Promise<string> => {
      const input = { input: { file: `data:text/plain,${text}`, delay_ms: delayMs } };
      const answer = await curl(`-H 'content-type: application/json' -d '${JSON.stringify(input)}' ${PREDICTIONS}`);
      return (JSON.parse(answer) as { id: string }).id;
    };
    const read = async (id: string): Promise<{ status: string; output: unknown }> =>
      JSON.parse(await curl(`'http://127.0.0.1:8080/v1/predictions/${id}?wait=40'`)) as never;

    const running = await ask('in-hand', 8_000);
    source.edit('package.json', '"version": "', '"version": "9.');
    const words = await install();
    const second = /The worker runs release ([0-9a-f]{16})/.exec(words)?.[1];
    assert.ok(second !== undefined && second !== first, words);
    assert.notEqual(await processOf(), firstPid);
    const outcome = await read(running);
    assert.deepEqual([outcome.status, outcome.output], ['succeeded', 'in-hand']);

    source.edit('bin/postern.mjs', 'await main(', "if (process.argv[2] === 'worker') process.exit(3);\nawait main(");
    const refused = await install().then(
      () => null,
      (error: { stdout: string }) => error.stdout,
    );
    assert.match(refused ?? 'it was taken', new RegExp(`the new release keeps ending. ${second} runs again`));
    const after = await read(await ask('afterwards', 0));
    assert.deepEqual([after.status, after.output], ['succeeded', 'afterwards']);
  },
);
