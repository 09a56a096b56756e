/** How long callers go without a success when one gateway dies and nothing else fails, and how long until its jobs are elsewhere. */
import { until } from '../support/postern.ts';
import type { Callers } from './callers.ts';
import { DEATHS } from './faults.ts';
import type { GatewayName, Site } from './site.ts';

export type Death = keyof typeof DEATHS;

export interface Measured {
  readonly death: Death;
  /** The longest time between two answers of 2xx at the load balancer, over all callers, from the death on. */
  readonly withoutSuccessMs: number;
  /** The same for submissions alone: an id was handed out. */
  readonly withoutSubmissionMs: number;
  /** The longest time between two such answers in the seconds before, when everybody was well. */
  readonly withoutSuccessBeforeMs: number;
  /** Until the last of the jobs that ran there is decided, or an attempt of another session. */
  readonly movedMs: number;
  readonly jobs: number;
}

const QUIET_MS = 5_000;
/** Health checks, leases and retries are over by then. */
const WATCH_MS = 10_000;
const SLOW_JOBS = 12;
/** Longer than a lease and a sweep. */
const SLOW_MS = 45_000;
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
  readonly worker: string | null;
  readonly status: string;
}

export async function measure(
  { site, callers, nextNumber }: { readonly site: Site; readonly callers: Callers; readonly nextNumber: () => number },
  death: Death,
  victim: GatewayName,
): Promise<Measured> {
  await site.untilWell();
  const all: number[] = [];
  const submissions: number[] = [];
  callers.onSuccess = (kind) => {
    all.push(performance.now());
    if (SUBMITTING.has(kind)) submissions.push(performance.now());
  };
  const ids: string[] = [];
  for (let n = 0; n < SLOW_JOBS; n += 1) {
    const id = await callers.submit('slow', nextNumber(), { delay_ms: SLOW_MS });
    if (id !== null) ids.push(id);
  }
  const look = async (): Promise<readonly Row[]> => {
    const wanted = ids.map((id) => `'${id}'`).join(', ');
    const sql = `SELECT id, session, worker, status FROM postern.job WHERE id IN (${wanted})`;
    return (await site.postgres.query(sql, site.database)) as unknown as Row[];
  };
  await until('the slow jobs to run', MAX_WAIT_MS, async () =>
    (await look()).every(({ status }) => status === 'processing') ? true : null,
  );
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  const workers = await site.workersAt(victim);
  const held = (await look()).filter(({ worker }) => worker !== null && workers.includes(worker));

  const began = performance.now();
  const end = await DEATHS[death](site, victim)();
  const moved = until('its jobs to be elsewhere', MAX_WAIT_MS, async () => {
    const now = new Map((await look()).map((row) => [row.id, row]));
    const isElsewhere = ({ id, session }: Row): boolean => {
      const row = now.get(id);
      return row !== undefined && row.status !== 'starting' && (row.status !== 'processing' || row.session !== session);
    };
    return held.every(isElsewhere) ? performance.now() - began : null;
  });
  await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  const movedMs = Math.round(await moved);
  callers.onSuccess = () => undefined;
  await end();
  const to = began + WATCH_MS;
  return {
    death,
    withoutSuccessMs: longestGap(all, began, to),
    withoutSubmissionMs: longestGap(submissions, began, to),
    withoutSuccessBeforeMs: longestGap(all, began - QUIET_MS, began),
    movedMs,
    jobs: held.length,
  };
}
