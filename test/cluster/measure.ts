/** How long callers go without a success when one gateway is lost and nothing else fails, and how long until its jobs are elsewhere. */
import { until } from '../support/postern.ts';
import type { Callers } from './callers.ts';
import { LOSSES } from './faults.ts';
import type { GatewayName, Site } from './site.ts';

export type Loss = keyof typeof LOSSES;

export interface Measured {
  readonly loss: Loss;
  /** The longest time between two answers of 2xx at the load balancer, over all callers, from then on. */
  readonly withoutSuccessMs: number;
  /** The same for submissions alone: an id was handed out. */
  readonly withoutSubmissionMs: number;
  /** The longest time between two such answers in the seconds before, when everybody was well. */
  readonly withoutSuccessBeforeMs: number;
  /**
   * Until the last of the jobs that ran there is elsewhere: another gateway has renewed the lease of its attempt, it is an attempt of another
   * session, or it is decided. That its worker is connected to another gateway says nothing: every worker is, from the beginning.
   */
  readonly movedMs: number;
  /** By how much longer than its run time the slowest of them took. */
  readonly delayMs: number;
  /** How many ran in sessions of that gateway. */
  readonly jobs: number;
}

const QUIET_MS = 5_000;
/** Health checks, leases and retries are over by then. */
const WATCH_MS = 10_000;
const SLOW_JOBS = 12;
/** Longer than the quiet time, a lease and a sweep: none is over before it could have moved. */
const SLOW_MS = 30_000;
const LOOK_MS = 100;
const MAX_WAIT_MS = 120_000;
const SUBMITTING: ReadonlySet<string> = new Set(['waiting', 'polling', 'told']);

/** The longest gap in what happened between `from` and `to`. */
function longestGap(times: readonly number[], from: number, to: number): number {
  const inside = times.filter((time) => time > from && time < to);
  const edges = [from, ...inside, to];
  return Math.round(Math.max(...edges.slice(1).map((time, index) => time - edges[index]!)));
}

interface Row {
  readonly id: string;
  readonly session: string | null;
  readonly status: string;
  readonly created_at: string;
  readonly completed_at: string | null;
}

export interface MeasureOptions {
  readonly site: Site;
  readonly callers: Callers;
  readonly loss: Loss;
  readonly victim: GatewayName;
  readonly nextNumber: () => number;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function measure({ site, callers, loss, victim, nextNumber }: MeasureOptions): Promise<Measured> {
  await site.untilWell();
  const all: number[] = [];
  const submissions: number[] = [];
  callers.onSuccess = (kind) => {
    all.push(performance.now());
    if (SUBMITTING.has(kind)) submissions.push(performance.now());
  };
  const ids = (
    await Promise.all(
      Array.from({ length: SLOW_JOBS }, () => callers.submit('slow', nextNumber(), { delay_ms: SLOW_MS })),
    )
  ).filter((id) => id !== null);
  const look = async (): Promise<readonly Row[]> => {
    const wanted = ids.map((id) => `'${id}'`).join(', ');
    const sql = `SELECT id, session, status, created_at, completed_at FROM postern.job WHERE id IN (${wanted})`;
    return (await site.postgres.query(sql, site.database)) as unknown as Row[];
  };
  await until('the slow jobs to run', MAX_WAIT_MS, async () =>
    (await look()).every(({ status }) => status === 'processing') ? true : null,
  );
  await pause(QUIET_MS);
  const sessions = await site.sessionsAt(victim);
  const held = (await look()).filter(({ session }) => session !== null && sessions.includes(session));
  if (held.length === 0) {
    throw new Error(
      `${loss}: expected some of ${ids.length} jobs in the ${sessions.length} sessions of ${victim}, got none`,
    );
  }

  const leases = async (): Promise<ReadonlyMap<string, number>> => {
    const rows = await site.postgres.query('SELECT session, lease_until FROM postern.session', site.database);
    return new Map(rows.map(({ session, lease_until: until }) => [String(session), Number(until)]));
  };
  const began = performance.now();
  const end = await LOSSES[loss](site, victim)();
  // What it renewed itself until then. Of one that is cut off something may be on the way still; the next look takes that in.
  await pause(LOOK_MS);
  const left = await leases();
  const moved = until('its jobs to be elsewhere', MAX_WAIT_MS, async () => {
    const now = new Map((await look()).map((row) => [row.id, row]));
    const renewed = await leases();
    const isElsewhere = ({ id, session }: Row): boolean => {
      const { status, session: by } = now.get(id)!;
      if (status === 'starting') return false;
      return (
        status !== 'processing' || by !== session || (renewed.get(by ?? '') ?? 0) > (left.get(by ?? '') ?? Infinity)
      );
    };
    if (held.every(isElsewhere)) return performance.now() - began;
    await pause(LOOK_MS);
    return null;
  });
  await pause(WATCH_MS);
  const movedMs = Math.round(await moved);
  callers.onSuccess = () => undefined;
  await end();
  const took = await until('its jobs to be decided', MAX_WAIT_MS, async () => {
    const now = (await look()).filter(({ id }) => held.some((row) => row.id === id));
    await pause(LOOK_MS);
    if (now.some(({ completed_at: at }) => at === null)) return null;
    return now.map(({ created_at: from, completed_at: to }) => Number(to) - Number(from));
  });
  const to = began + WATCH_MS;
  return {
    loss,
    withoutSuccessMs: longestGap(all, began, to),
    withoutSubmissionMs: longestGap(submissions, began, to),
    withoutSuccessBeforeMs: longestGap(all, began - QUIET_MS, began),
    movedMs,
    delayMs: Math.max(...took) - SLOW_MS,
    jobs: held.length,
  };
}
