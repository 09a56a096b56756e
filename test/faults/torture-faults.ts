/**
 * Faults of the network, long form.
 *
 *   npm run torture:faults -- measure [runs of each fault, default 3]    when a dead peer is noticed, and its job elsewhere
 *   npm run torture:faults -- [minutes, default 10] [callers, default 8]  all faults at random, together with kills
 */
import { createEndings, launchFor } from '../crash/endings.ts';
import { createChainCallers } from '../crash/chain-callers.ts';
import { inspect } from '../crash/inspect.ts';
import { createRandom } from '../support/random.ts';
import { join } from 'node:path';
import { measure, type Measured } from './measure.ts';
import { FAULTS, openNetwork, untilState, type Fault } from './network.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const NOTICED_LIMIT_MS = 15_500;
const ELSEWHERE_LIMIT_MS = 20_000;

async function measureAll(runs: number): Promise<boolean> {
  const worst = new Map<Fault, Measured>();
  for (let run = 1; run <= runs; run += 1) {
    // Side by side: each waits most of the time, and has processes of its own.
    for (const one of await Promise.all((Object.keys(FAULTS) as Fault[]).map(measure))) {
      say(JSON.stringify(one));
      const { fault, noticedMs, elsewhereMs } = one;
      const before = worst.get(fault) ?? one;
      worst.set(fault, {
        fault,
        noticedMs: Math.max(before.noticedMs, noticedMs),
        elsewhereMs: Math.max(before.elsewhereMs, elsewhereMs),
      });
    }
  }
  say(JSON.stringify({ worst: [...worst.values()] }, null, 2));
  return [...worst.values()].every(
    ({ noticedMs, elsewhereMs }) => noticedMs <= NOTICED_LIMIT_MS && elsewhereMs <= ELSEWHERE_LIMIT_MS,
  );
}

/** Each round: a fault on one worker's links for a while, and at times a kill. */
async function torture(minutes: number, callerCount: number): Promise<boolean> {
  const random = createRandom(Date.now());
  const began = performance.now();
  const network = await openNetwork();
  const { system } = network;
  const endings = createEndings({ random: random.next, logPath: '', hasStrace: false });
  const faults: Record<string, number> = {};
  let { gateway } = network;
  let kills = 0;
  const callers = createChainCallers(() => gateway.url);
  callers.start(callerCount);
  try {
    const menu = { ...FAULTS, 'reset in the middle of a frame': null, latency: null, 'cut at once': null };
    const names = Object.keys(menu) as (keyof typeof menu)[];
    while (performance.now() - began < minutes * 60_000) {
      const victim = random.pick(network.workers);
      const name = random.pick(names);
      faults[name] = (faults[name] ?? 0) + 1;
      if (name === 'reset in the middle of a frame')
        victim.suffer((to) => to.endAfter('up', random.int(1, 5_000), 'reset'));
      else if (name === 'latency') victim.suffer((to) => to.delay(random.int(10, 800)));
      else if (name === 'cut at once') victim.suffer(null);
      else victim.suffer(FAULTS[name]);
      // Some are over before anybody notices, some last beyond the lease.
      await pause(random.pick([200, 2_000, 6_000, 24_000]));
      if (random.chance(0.3)) {
        await gateway.kill();
        kills += 1;
        // The next one may reach its end while it starts; then the one after it does not.
        gateway = await system.gateway(gateway, launchFor(endings.gateway())).catch(() => {
          kills += 1;
          return system.gateway(gateway);
        });
      } else if (gateway.child.signalCode !== null) {
        gateway = await system.gateway(gateway);
        kills += 1;
      }
      victim.suffer(null);
    }
    await callers.stop();
    await gateway.kill();
    gateway = await system.gateway(gateway);
    for (const { name } of network.workers) await untilState(gateway, name, 'connected');
    const ended = await callers.finish();
    await gateway.stop();
    const problems = [...callers.problems, ...inspect(join(system.folder, 'gateway', 'jobs.sqlite'))];
    const seconds = Math.round((performance.now() - began) / 1_000);
    say(
      JSON.stringify(
        { seconds, faults, kills, accepted: callers.accepted, ...ended, problems: problems.length },
        null,
        2,
      ),
    );
    for (const problem of problems.slice(0, 20)) say(problem);
    return problems.length === 0;
  } finally {
    await network.close();
  }
}

const [first = '10', second] = process.argv.slice(2);
const isWell =
  first === 'measure' ? await measureAll(Number(second ?? 3)) : await torture(Number(first), Number(second ?? 8));
if (!isWell) process.exitCode = 1;
