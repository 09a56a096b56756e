/** Asks the gateway to change what is deployed, and watches the workers until each has changed over or could not. */
import { sleep, systemClock } from '../../clock.ts';
import type { Client } from '../../client/client.ts';
import type { DeployedModel, VersionOnWorker } from '../../client/rollouts.ts';
import { PosternError } from '../../errors.ts';
import { clientFor, type CallerOptions } from '../options.ts';
import { duration, paint, printable, table } from '../terminal.ts';

interface WaitFlags extends CallerOptions {
  /** Seconds. */
  readonly timeout: number;
  readonly wait: boolean;
}

export interface DeployFlags extends WaitFlags {
  readonly weight: number;
  readonly allowDowntime?: boolean;
}

export type RollbackFlags = WaitFlags;

const POLL_MS = 200;
/** A worker looks at its repository every two seconds, twice: what was copied just now is known after that. */
const NOTICE_MS = 6_000;

export async function deploy(name: string, version: string, flags: DeployFlags): Promise<void> {
  const client = clientFor(flags);
  const order = { weight: flags.weight, allowDowntime: flags.allowDowntime === true };
  const model = await unlessJustCopied(() => client.deployModel(name, version, order), `${name}@${version}`);
  await finish(client, model, version, flags);
}

export async function rollback(name: string, flags: RollbackFlags): Promise<void> {
  const client = clientFor(flags);
  const model = await client.rollbackModel(name);
  await finish(client, model, model.rollout?.version ?? '', flags);
}

export async function versions(name: string | null, flags: CallerOptions): Promise<void> {
  const client = clientFor(flags);
  const models = name === null ? await client.deployedModels() : [await client.deployedModel(name)];
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(name === null ? models : models[0], null, 2)}\n`);
    return;
  }
  if (models.length === 0) {
    process.stdout.write('No connected worker has a model. Start one with: postern worker\n');
    return;
  }
  const columns = ['MODEL', 'VERSION', 'WORKER', 'STATE', 'SERVES', 'WHY NOT'].map((title) => ({ title }));
  process.stdout.write(table(columns, models.flatMap(rows)));
  for (const model of models) for (const line of about(model)) process.stdout.write(`${line}\n`);
}

/** The one error that may pass by itself: no worker has looked at its folder since. */
async function unlessJustCopied(ask: () => Promise<DeployedModel>, what: string): Promise<DeployedModel> {
  const until = systemClock.monotonic() + NOTICE_MS;
  for (let told = false; ; told = true) {
    try {
      return await ask();
    } catch (error) {
      const isOver = systemClock.monotonic() > until;
      if (isOver || !(error instanceof PosternError) || error.code !== 'model_not_found') throw error;
      if (!told) process.stderr.write(`No worker has ${what} yet: waiting in case it was copied just now …\n`);
      await sleep(systemClock, POLL_MS);
    }
  }
}

async function finish(client: Client, decided: DeployedModel, version: string, flags: WaitFlags): Promise<void> {
  const model = flags.wait ? await settled(client, decided, version, flags.timeout * 1_000) : decided;
  if (flags.json === true) process.stdout.write(`${JSON.stringify(model, null, 2)}\n`);
  else if (!flags.wait)
    process.stdout.write(`Decided. See how far it is with: postern models versions ${model.name}\n`);
  else for (const line of outcome(model, version)) process.stdout.write(`${line}\n`);
}

/** Resolves when every worker that has it serves it; throws when one cannot, or the time is over. */
async function settled(
  client: Client,
  first: DeployedModel,
  version: string,
  timeoutMs: number,
): Promise<DeployedModel> {
  const startedAt = systemClock.monotonic();
  const told = new Map<string, string>();
  for (let model = first; ; model = await client.deployedModel(first.name)) {
    const of = `${model.name}@${version}`;
    const { rollout } = model;
    const having = model.workers.flatMap(({ name, versions: list }) => {
      const one = list.find((candidate) => candidate.version === version);
      return one === undefined ? [] : [{ worker: name, ...one }];
    });
    for (const one of having) tell(told, one, startedAt);
    if (rollout?.failure?.version === version) {
      const stays = rollout.version === version ? 'Nothing serves.' : `${model.name}@${rollout.version} stays.`;
      throw new PosternError('model_invalid', `${of} could not be loaded: ${rollout.failure.reason}\n${stays}`);
    }
    if (rollout?.version !== version) {
      throw new PosternError('rollout_refused', `somebody else deployed ${model.name}@${rollout?.version} meanwhile`);
    }
    const open = having.filter(({ state }) => state !== 'ready' && state !== 'failed');
    if (rollout.state === 'active' && open.length === 0) {
      const bad = having.filter(({ state }) => state === 'failed');
      if (bad.length === 0) return model;
      const where = bad.map(({ worker, message }) => `${worker}: ${message ?? 'it could not be loaded'}`).join('\n');
      throw new PosternError(
        'model_invalid',
        `${of} serves on ${having.length - bad.length} of ${having.length} workers\n${where}`,
      );
    }
    if (systemClock.monotonic() - startedAt > timeoutMs) {
      const waits = open.map(({ worker, state, message }) => `${worker} (${message ?? state})`).join(', ');
      throw new PosternError(
        'deadline_exceeded',
        `${of} is not ready after ${duration(timeoutMs / 1_000)}: ${waits}. It goes on by itself.`,
      );
    }
    await sleep(systemClock, POLL_MS);
  }
}

/** One line for each change, so that somebody sees that it goes on; on standard error, so that the result stays clean. */
function tell(told: Map<string, string>, one: VersionOnWorker & { readonly worker: string }, startedAt: number): void {
  const { worker, state, message } = one;
  const words = state === 'stored' ? 'is told' : state;
  const text = `${printable(worker)}  ${words}${message === null ? '' : `: ${printable(message)}`}`;
  if (told.get(worker) === text) return;
  told.set(worker, text);
  const after = `${((systemClock.monotonic() - startedAt) / 1_000).toFixed(1)} s`;
  process.stderr.write(`${paint(process.stderr, 'dim', after.padStart(8))}  ${text}\n`);
}

function outcome({ name, rollout, workers }: DeployedModel, version: string): string[] {
  const serving = workers.filter(({ versions: list }) => list.some((one) => one.version === version && one.serves));
  const where = `${serving.length} ${serving.length === 1 ? 'worker' : 'workers'}`;
  const { weight = 100, previous = null } = rollout ?? {};
  const lines = [
    weight === 100
      ? `${name}@${version} serves on ${where}.`
      : weight === 0
        ? `${name}@${version} is loaded, for those who name it.`
        : `${name}@${version} gets ${weight} % on ${where}.`,
  ];
  if (weight < 100 && previous !== null) lines.push(`${name}@${previous} gets the rest.`);
  return [...lines, ...soak(rollout)];
}

function soak(rollout: DeployedModel['rollout']): string[] {
  const { previous = null, soak_until: until = null, weight = 0 } = rollout ?? {};
  if (previous === null || until === null || weight < 100) return [];
  const leftS = (Date.parse(until) - systemClock.now()) / 1_000;
  return leftS > 0 ? [`Version ${previous} stays loaded for ${duration(leftS)}: postern models rollback`] : [];
}

const COLOURS = { ready: 'green', loading: 'yellow', draining: 'yellow', failed: 'red', stored: 'dim' } as const;

function rows({ name, rollout, workers }: DeployedModel): string[][] {
  return workers.flatMap((worker) =>
    worker.versions.map(({ version, state, serves, message }) => [
      printable(name),
      printable(version),
      printable(worker.name),
      paint(process.stdout, COLOURS[state], state),
      serves ? share(rollout, version) : '–',
      printable(message ?? '–'),
    ]),
  );
}

function share(rollout: DeployedModel['rollout'], version: string): string {
  if (rollout === null || rollout.weight === 100) return 'all';
  return `${version === rollout.version ? rollout.weight : 100 - rollout.weight} %`;
}

function about({ name, rollout }: DeployedModel): string[] {
  if (rollout === null) return [];
  const { failure } = rollout;
  const why =
    failure === null ? [] : [`${name}@${failure.version} could not be deployed: ${printable(failure.reason)}`];
  return [...why, ...soak(rollout).map((line) => `${name}: ${line}`)];
}
