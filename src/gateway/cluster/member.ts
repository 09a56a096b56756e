/** One gateway as the others see it: what its note in the database says, read with care, because another release may have written it. */
import { z } from 'zod';
import type { WorkerView } from '../ports.ts';
import { parseLoad, shortened, type GatewayLoad } from '../scaling/load.ts';
import { MAX_SUMMARY_CHARS, type MemberRow } from '../../store/members.ts';

/** What is served of one version by the workers that are connected there. */
export interface ServedModel {
  readonly model: string;
  readonly version: string;
  /** Connected ones on which it is ready. */
  readonly sessions: number;
  /** Rows that they would still take. */
  readonly freeRows: number;
  readonly inFlightJobs: number;
}

export interface Summary {
  /** Connected workers. */
  readonly sessions: number;
  readonly models: readonly ServedModel[];
  /** For who scales; absent or null: nothing was measured yet, or it cannot be read. */
  readonly load?: GatewayLoad | null;
}

export interface Member extends Summary {
  readonly id: string;
  readonly isSelf: boolean;
  readonly release: string;
  readonly state: 'serving' | 'draining';
  /** `host:port` that leads workers to this gateway and no other; null: an address that several have, or none, or it drains. */
  readonly tunnelAddress: string | null;
  /** `host:port` for other gateways; null: it takes no forwarded requests. */
  readonly peerAddress: string | null;
  /** Epoch ms of the database's clock. */
  readonly joinedAt: number;
  /** Its last beat, on this process's monotonic clock. */
  readonly heardAt: number;
}

/** Of the workers that are connected to this process. */
export function summaryOf(workers: readonly Pick<WorkerView, 'state' | 'models'>[]): Summary {
  const models = new Map<string, { -readonly [Key in keyof ServedModel]: ServedModel[Key] }>();
  let sessions = 0;
  for (const worker of workers) {
    if (worker.state !== 'connected') continue;
    sessions += 1;
    for (const { name, version, state, creditRows, inFlightJobs } of worker.models) {
      if (state !== 'ready') continue;
      const key = `${name}@${version}`;
      let served = models.get(key);
      if (!served) models.set(key, (served = { model: name, version, sessions: 0, freeRows: 0, inFlightJobs: 0 }));
      served.sessions += 1;
      served.freeRows += creditRows;
      served.inFlightJobs += inFlightJobs;
    }
  }
  return { sessions, models: [...models.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)) };
}

const keyOf = ({ model, version }: ServedModel): string => `${model}@${version}`;

const count = z.int().min(0).max(1_000_000_000);
const summarySchema = z.object({
  sessions: count,
  models: z.array(z.tuple([z.string(), z.string(), count, count, count]).rest(z.unknown())).max(10_000),
  load: z.unknown().optional(),
});
/** Half of a note: the rest is for what is forwarded. */
const MAX_LOAD_CHARS = MAX_SUMMARY_CHARS / 2;
const NOTHING: Summary = { sessions: 0, models: [] };

/** As much as there is room for: what is left out is not forwarded, and nothing else. */
export function encodeSummary({ sessions, models, load = null }: Summary): string {
  const short = load === null ? {} : { load: shortened(load, MAX_LOAD_CHARS) };
  const tuples = models.map((one) => [one.model, one.version, one.sessions, one.freeRows, one.inFlightJobs]);
  for (;;) {
    const text = JSON.stringify({ sessions, models: tuples, ...short });
    if (text.length <= MAX_SUMMARY_CHARS) return text;
    tuples.length = Math.floor(tuples.length / 2);
  }
}

/** What cannot be read counts as a gateway that serves nothing. */
export function decodeSummary(text: string): Summary {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return NOTHING;
  }
  const parsed = summarySchema.safeParse(value);
  if (!parsed.success) return NOTHING;
  const load = parseLoad(parsed.data.load);
  return {
    ...(load === null ? {} : { load }),
    sessions: parsed.data.sessions,
    models: parsed.data.models.map(([model, version, sessions, freeRows, inFlightJobs]) => {
      return { model, version, sessions, freeRows, inFlightJobs };
    }),
  };
}

/** Others than `self`, in the order of their ids. `now`: monotonic. */
export function toMembers(rows: readonly MemberRow[], self: string, now: number): Member[] {
  const holders = new Map<string, number>();
  for (const { state, tunnelAddress } of rows) {
    if (state === 'serving' && tunnelAddress !== null)
      holders.set(tunnelAddress, (holders.get(tunnelAddress) ?? 0) + 1);
  }
  return rows.map((row) => ({
    id: row.id,
    isSelf: row.id === self,
    release: row.release,
    state: row.state,
    tunnelAddress: row.state === 'serving' && holders.get(row.tunnelAddress ?? '') === 1 ? row.tunnelAddress : null,
    peerAddress: row.peerAddress !== null && canBeDialled(row.peerAddress) ? row.peerAddress : null,
    joinedAt: row.joinedAt,
    heardAt: now - row.ageMs,
    ...decodeSummary(row.summary),
  }));
}

/** Others wrote it: what is no address must not become an error of every request that might be passed on to it. */
function canBeDialled(address: string): boolean {
  const [, port] = /^[^/\s]+:(\d{1,5})$/.exec(address) ?? [];
  return port !== undefined && Number(port) > 0 && Number(port) < 65_536;
}

/** What an observer of the membership may act upon: not what changes with every beat. */
export const membershipKey = (members: readonly Member[]): string =>
  JSON.stringify(members.map(({ id, state, tunnelAddress, peerAddress }) => [id, state, tunnelAddress, peerAddress]));

/** Which versions have workers: when that changes, the others are told at once and not with the next beat. */
export const servedKey = ({ models }: Summary): string =>
  JSON.stringify(models.map(({ model, version, sessions }) => [model, version, sessions > 0]));
