/** Lists the workers as the gateway knows them, or as its records on this machine do. */
import { existsSync } from 'node:fs';
import type { WorkerAccount } from '../../client/shapes.ts';
import { systemClock } from '../../clock.ts';
import { toPosternError } from '../../errors.ts';
import { recordsPath } from '../../identity/records.ts';
import { listWorkers, workerEntry } from '../../identity/worker-list.ts';
import { openWorkers } from '../../identity/workers.ts';
import { withRecords } from '../control-records.ts';
import { loadConfig } from '../env.ts';
import { clientFor, type CallerOptions } from '../options.ts';
import { duration, paint, printable, table } from '../terminal.ts';

/** Why the gateway gives no list, while the records beside it can. */
const NO_ANSWER: ReadonlySet<string> = new Set(['unreachable', 'unauthorized', 'forbidden']);

export async function workers(options: CallerOptions): Promise<void> {
  const list = await load(options);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(list, null, 2)}\n`);
    return;
  }
  if (list.length === 0) {
    process.stdout.write('There are no workers yet. Let one in with: postern invite <name> --models <names>\n');
    return;
  }
  process.stdout.write(
    table(
      [
        { title: 'WORKER' },
        { title: 'STATE' },
        { title: 'ADDRESS' },
        { title: 'ROUND TRIP', right: true },
        { title: 'SEEN', right: true },
        { title: 'CERTIFICATE', right: true },
        { title: 'MAY RUN' },
        { title: 'SERVES' },
      ],
      list.map((worker) => row(worker, systemClock.now())),
    ),
  );
  for (const { name, lock_reason: reason } of list) {
    if (reason === null) continue;
    process.stdout.write(
      `\n${printable(name)} is locked: ${printable(reason)}. Let it in again with: postern invite ${printable(name)} --replace\n`,
    );
  }
}

async function load(options: CallerOptions): Promise<readonly WorkerAccount[]> {
  try {
    return await clientFor(options).allWorkers();
  } catch (thrown) {
    const { code, message } = toPosternError(thrown);
    const isHere = options.gateway === undefined && existsSync(recordsPath(loadConfig().dataDir));
    if (!isHere || !NO_ANSWER.has(code)) throw thrown;
    process.stderr.write(`From the records on this machine, without who is connected: ${message}\n`);
    return withRecords((records) =>
      listWorkers(openWorkers(records), systemClock.now()).map((one) => ({ ...workerEntry(one), session: null })),
    );
  }
}

/** Certificates of another authority live for months. */
const FROM_DAYS_S = 3 * 86_400;

const COLOURS: Readonly<Record<string, 'green' | 'yellow' | 'red'>> = {
  connected: 'green',
  revoked: 'red',
  locked: 'red',
};

function row(worker: WorkerAccount, now: number): string[] {
  const { session, standing } = worker;
  const state = standing === 'joined' && session !== null ? session.state : standing;
  const ago = (time: string): string => `${duration(Math.max(0, now - Date.parse(time)) / 1000)} ago`;
  const left = (time: string): string => {
    const leftS = (Date.parse(time) - now) / 1000;
    if (leftS <= 0) return 'ended';
    return leftS < FROM_DAYS_S ? duration(leftS) : `${Math.floor(leftS / 86_400)} days`;
  };
  const roundTripMs = session?.round_trip_ms ?? null;
  const ends = session?.certificate_ends_at ?? worker.certificate_ends_at;
  const served = session?.models.map((model) => `${model.name}/${model.version} ${model.state}`) ?? [];
  const denied = session?.not_allowed.map((model) => `${model.name}/${model.version} not allowed`) ?? [];
  return [
    printable(worker.name),
    paint(process.stdout, COLOURS[state] ?? 'yellow', state),
    session === null ? '–' : printable(session.address),
    roundTripMs === null ? '–' : `${roundTripMs.toFixed(1)} ms`,
    session?.state === 'connected' ? 'now' : worker.last_seen_at === null ? 'never' : ago(worker.last_seen_at),
    worker.invited_until !== null && standing === 'invited'
      ? `to join: ${left(worker.invited_until)}`
      : ends === null
        ? '–'
        : left(ends),
    worker.models === null ? 'all' : worker.models.map(printable).join(', ') || 'nothing',
    [...served, ...denied].map(printable).join(', ') || '–',
  ];
}
