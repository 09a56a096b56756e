/** Asks the supervisor of this machine, or reads what it left when none runs. */
import { systemClock } from '../../clock.ts';
import { appendAct } from '../../deploy/audit.ts';
import { askSupervisor } from '../../deploy/control-client.ts';
import { layoutOf, type Layout } from '../../deploy/layout.ts';
import { leaveLock, readLock, takeLock } from '../../deploy/lock.ts';
import { HAND_OVER_VERSION, listReleaseIds, readManifest } from '../../deploy/manifest.ts';
import { readState, type State } from '../../deploy/state.ts';
import { PosternError } from '../../errors.ts';
import { schemaFormats } from '../../gateway/schema-formats.ts';
import { commandAct } from '../control-records.ts';
import { loadConfig } from '../env.ts';
import { paint, printable, table } from '../terminal.ts';
import { VERSION } from '../version.ts';

interface JsonFlags {
  readonly json?: boolean;
}

export interface SwitchFlags extends JsonFlags {
  readonly lock?: string;
}

export interface LockFlags extends JsonFlags {
  readonly owner?: string;
  readonly for: number;
  readonly release?: string;
}

export interface UnlockFlags extends JsonFlags {
  readonly owner?: string;
  readonly force?: boolean;
}

export interface MaintenanceFlags extends JsonFlags {
  readonly text?: string;
}

const layout = (): Layout => layoutOf(loadConfig().deployDir);

function print(flags: JsonFlags, value: object, text: string): void {
  process.stdout.write(flags.json === true ? `${JSON.stringify(value)}\n` : `${text}\n`);
}

export async function list(flags: JsonFlags): Promise<void> {
  const here = layout();
  const [state, status, ids, lock] = await Promise.all([
    readState(here.state),
    askIfThere(here),
    listReleaseIds(here),
    readLock(here.lock, systemClock.now()),
  ]);
  const releases = (await Promise.all(ids.map((id) => describeRelease(here, state, id)))).sort(
    (a, b) => b.since_ms - a.since_ms,
  );
  const { current, previous, maintenance } = state;
  const value = { supervisor: status !== null, current, previous, maintenance, lock, releases, status };
  const lines = [
    status === null
      ? paint(process.stdout, 'yellow', 'No supervisor runs here.')
      : `Callers reach ${String(status.front)}.`,
    ...(maintenance === null ? [] : [`In maintenance: ${printable(maintenance)}`]),
    ...(lock === null
      ? []
      : [`Locked by ${printable(lock.owner)} until ${new Date(lock.expires_at_ms).toISOString()}.`]),
    '',
    releases.length === 0 ? 'There is no release yet.' : releaseTable(releases).trimEnd(),
  ];
  print(flags, value, lines.join('\n'));
}

async function askIfThere(here: Layout): Promise<Readonly<Record<string, unknown>> | null> {
  try {
    return await askSupervisor(here, { command: 'status' });
  } catch (error) {
    if (error instanceof PosternError && error.code === 'supervisor_unreachable') return null;
    throw error;
  }
}

interface Described {
  readonly id: string;
  readonly version: string | null;
  readonly made_at: string | null;
  readonly place: 'current' | 'previous' | null;
  readonly health: string;
  readonly since_ms: number;
  readonly reason: string | null;
}

async function describeRelease(here: Layout, state: State, id: string): Promise<Described> {
  const place = id === state.current ? 'current' : id === state.previous ? 'previous' : null;
  const judged = state.releases[id];
  const { since_ms = 0, reason = null, health = 'new' } = judged ?? {};
  try {
    const { version, made_at } = await readManifest(here, id);
    return { id, version, made_at, place, health, since_ms, reason };
  } catch (error) {
    return { id, version: null, made_at: null, place, health: 'unusable', since_ms, reason: (error as Error).message };
  }
}

function releaseTable(releases: readonly Described[]): string {
  const columns = [{ title: 'release' }, { title: 'version' }, { title: 'made' }, { title: 'state' }, { title: '' }];
  const rows = releases.map(({ id, version, made_at, place, health, reason }) => [
    id,
    printable(version ?? '?'),
    made_at?.slice(0, 16) ?? '',
    place ?? health,
    place === null && reason !== null ? printable(reason.split('\n', 1)[0]!.slice(0, 80)) : '',
  ]);
  return table(columns, rows);
}

/** For whoever builds an archive: what the numbers of this program are. */
export function describe(): void {
  const value = {
    format: 1,
    version: VERSION,
    node: process.versions.node,
    hand_over: HAND_OVER_VERSION,
    schema: schemaFormats(),
  };
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export async function pruneReleases(flags: JsonFlags): Promise<void> {
  const { removed } = await askSupervisor(layout(), { command: 'prune', actor: commandAct().actor });
  const ids = removed as string[];
  print(flags, { removed: ids }, ids.length === 0 ? 'Nothing to remove.' : `Removed ${ids.join(', ')}.`);
}

export const switchRelease = (release: string, flags: SwitchFlags): Promise<void> =>
  change({ command: 'switch', release }, flags);

export const rollback = (release: string | undefined, flags: SwitchFlags): Promise<void> =>
  change({ command: 'rollback', ...(release === undefined ? {} : { release }) }, flags);

async function change(
  request: { readonly command: string; readonly release?: string },
  flags: SwitchFlags,
): Promise<void> {
  const lockField = flags.lock === undefined ? {} : { lock: flags.lock };
  const result = await askSupervisor(
    layout(),
    { ...request, ...lockField, actor: commandAct().actor },
    (step, text) => {
      if (flags.json === true) process.stdout.write(`${JSON.stringify({ type: 'progress', step, text })}\n`);
      else process.stderr.write(`${paint(process.stderr, 'dim', step.padEnd(10))} ${printable(text)}\n`);
    },
  );
  print(
    flags,
    result,
    `${String(result.release)} serves since ${(Number(result.took_ms) / 1_000).toFixed(1)} s after the command.`,
  );
}

export async function lock(flags: LockFlags): Promise<void> {
  const here = layout();
  const { actor, at } = commandAct();
  const owner = flags.owner ?? actor;
  const taken = await takeLock(here.lock, {
    owner,
    version: flags.release ?? null,
    taken_at_ms: at,
    expires_at_ms: at + flags.for,
  });
  await appendAct(here.audit, { ...act('lock', owner), release: flags.release ?? null });
  print(flags, taken, `${printable(owner)} holds the lock until ${new Date(taken.expires_at_ms).toISOString()}.`);
}

export async function unlock(flags: UnlockFlags): Promise<void> {
  const here = layout();
  const { actor, at } = commandAct();
  const owner = flags.owner ?? actor;
  const wasHeld = await leaveLock(here.lock, flags.force === true ? null : owner, at);
  if (wasHeld) await appendAct(here.audit, { ...act('unlock', owner), release: null });
  print(flags, { unlocked: wasHeld }, wasHeld ? 'The lock is free.' : 'The lock was free already.');
}

const act = (action: string, actor: string) =>
  ({ at: new Date(systemClock.now()).toISOString(), actor, action, outcome: 'done' }) as const;

export async function maintenance(state: 'on' | 'off', flags: MaintenanceFlags): Promise<void> {
  const text = flags.text === undefined ? {} : { text: flags.text };
  const request = { command: 'maintenance', on: state === 'on', ...text, actor: commandAct().actor };
  const result = await askSupervisor(layout(), request);
  print(
    flags,
    { maintenance: result.maintenance },
    state === 'on' ? `Callers are told: ${printable(String(result.maintenance))}` : 'Callers are served again.',
  );
}
