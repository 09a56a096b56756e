/** What is measured of a run: kept as it goes, read at the end. Owner of the figures. */
import type { Job } from '../../../src/dispatch/job.ts';
import { PING_MS } from '../../../src/protocol/limits.ts';
import { COSTS } from './costs.ts';
import type { GatewayPart, Model, World } from './shape.ts';
import { createHistogram, fairShares, jain, Tally } from './measures.ts';

export type Report = ReturnType<typeof createReport>;

/** One look at the whole, once a second. */
export interface Second {
  readonly atS: number;
  readonly sessions: number;
  readonly wholeWorkers: number;
  readonly workersWithoutLink: number;
  readonly handshakes: number;
  readonly maxHandshakesOfOne: number;
  readonly maxWaitingOfOne: number;
  readonly refused: number;
  readonly running: number;
  readonly undecided: number;
}

export function createReport(world: World) {
  let queueMs = createHistogram();
  let hotQueueMs = createHistogram();
  const hot = new Set(world.options.models > 0 ? ['model-0', 'model-1'] : []);
  const seconds: Second[] = [];
  let handshakes = new Map<GatewayPart, number>();
  let allHandshakes = 0;
  let refusedInSecond = 0;
  let refused = 0;
  let maxHandshakesInSecond = 0;
  let maxWaiting = 0;
  const asked = new Map<string, Map<string, number>>();
  const served = new Map<string, Map<string, number>>();
  const refusedJobs = new Tally();
  const formerGateways: GatewayPart[] = [];
  let creditUsed = 0;
  let gatewaysWithCredit = 0;
  let looks = 0;

  const add = (table: Map<string, Map<string, number>>, model: string, key: string, rows: number): void => {
    let keys = table.get(model);
    if (!keys) table.set(model, (keys = new Map<string, number>()));
    keys.set(key, (keys.get(key) ?? 0) + rows);
  };

  function look(): void {
    world.timeline.after(1_000, look);
    let sessions = 0;
    let maxWaitingNow = 0;
    for (const gateway of world.gateways.values()) {
      sessions += gateway.sessions.size;
      maxWaitingNow = Math.max(maxWaitingNow, gateway.admission.waitingCount);
      if (gateway.sessions.size > world.options.workers * 2)
        world.books.violation(`${gateway.address} has too many sessions`);
    }
    maxWaiting = Math.max(maxWaiting, maxWaitingNow);
    const there = world.serving().length;
    const most = Math.min(world.options.linksPerWorker, there);
    let whole = 0;
    let without = 0;
    let running = 0;
    for (const worker of world.workers) {
      const links = worker.connectedLinks;
      if (links >= most) whole += 1;
      if (links === 0) without += 1;
      running += worker.inFlightRows;
      const limit = Math.min(world.options.linksPerWorker + 1, world.gateways.size);
      if (worker.links.size > limit)
        world.books.violation(`${worker.name} keeps ${worker.links.size} links, of ${limit}`);
    }
    creditUsed += running / capacity();
    gatewaysWithCredit += modelsWithCredit();
    looks += 1;
    let maxOfOne = 0;
    let sum = 0;
    for (const count of handshakes.values()) {
      sum += count;
      maxOfOne = Math.max(maxOfOne, count);
    }
    maxHandshakesInSecond = Math.max(maxHandshakesInSecond, maxOfOne);
    seconds.push({
      atS: Math.round(world.timeline.nowMs / 1_000),
      sessions,
      wholeWorkers: whole,
      workersWithoutLink: without,
      handshakes: sum,
      maxHandshakesOfOne: maxOfOne,
      maxWaitingOfOne: maxWaitingNow,
      refused: refusedInSecond,
      running,
      undecided: world.books.undecided.size,
    });
    handshakes = new Map();
    refusedInSecond = 0;
  }
  world.timeline.after(1_000, look);

  let rows = 0;
  function capacity(): number {
    if (rows === 0) for (const { capacityRows } of world.books.accounts) rows += capacityRows;
    return rows;
  }

  /** Of all pairs of a gateway and a model: where a call that is not recorded could be sent on at once. */
  function modelsWithCredit(): number {
    let free = 0;
    let gateways = 0;
    for (const gateway of world.gateways.values()) {
      if (!gateway.isServing || !gateway.isUp) continue;
      gateways += 1;
      for (const { name } of world.catalogue.models) {
        for (const { session, credit } of gateway.dispatcher.offersOf(name)) {
          if (session.state !== 'connected' || credit.freeRows === 0) continue;
          free += 1;
          break;
        }
      }
    }
    return gateways === 0 ? 0 : free / (gateways * world.catalogue.models.length);
  }

  /** Of the keys of models of which more is asked than there is: what each got, to what it should have got. */
  function keyFairness(): number {
    const ratios: number[] = [];
    for (const { name, isHot } of world.catalogue.models) {
      const keys = [...(asked.get(name) ?? [])];
      if (!isHot || keys.length === 0) continue;
      const got = keys.map(([key]) => served.get(name)?.get(key) ?? 0);
      const fair = fairShares(
        keys.map(([, wanted]) => wanted),
        got.reduce((a, b) => a + b, 0),
      );
      got.forEach((one, index) => ratios.push(one / Math.max(1, fair[index]!)));
    }
    return jain(ratios);
  }

  const all = (): GatewayPart[] => [...world.gateways.values(), ...formerGateways];

  return {
    seconds,
    handshake(gateway: GatewayPart): void {
      allHandshakes += 1;
      handshakes.set(gateway, (handshakes.get(gateway) ?? 0) + 1);
    },
    admission(gateway: GatewayPart): void {
      if (gateway.admission.activeCount > world.options.admission.maxActive) {
        world.books.violation(`${gateway.address} shakes ${gateway.admission.activeCount} hands at once`);
      }
    },
    refused(_gateway: GatewayPart): void {
      refused += 1;
      refusedInSecond += 1;
    },
    refusedJob: (code: string) => refusedJobs.add(code),
    asked: (model: Model, key: string, count: number) => add(asked, model.name, key, count),
    started(job: Job): void {
      (hot.has(job.model) ? hotQueueMs : queueMs).add(Math.max(0, (job.startedAt ?? 0) - job.createdAt));
      add(served, job.model, job.caller, job.rows);
    },
    left: (gateway: GatewayPart) => void formerGateways.push(gateway),
    /** What is counted from here on is what counts. */
    begin() {
      queueMs = createHistogram();
      hotQueueMs = createHistogram();
      world.sent.clear();
      world.database.statements.clear();
      world.database.rowsOf.clear();
      asked.clear();
      served.clear();
      const [busyMs, dbMs, beganAt, before] = [
        all().reduce((sum, { thread }) => sum + thread.busyMs, 0),
        world.database.busyMs,
        world.timeline.nowMs,
        world.books.counts,
      ];
      const assigned = new Map(all().map((gateway) => [gateway, gateway.assignedJobs]));
      [creditUsed, gatewaysWithCredit, looks] = [0, 0, 0];
      return () => figures({ busyMs, dbMs, beganAt, assigned, jobs: before.succeeded });
    },
  };

  function figures(before: {
    readonly busyMs: number;
    readonly dbMs: number;
    readonly beganAt: number;
    readonly assigned: ReadonlyMap<GatewayPart, number>;
    readonly jobs: number;
  }) {
    const lastedS = (world.timeline.nowMs - before.beganAt) / 1_000;
    const gateways = all();
    let sessions = 0;
    let tls = 0;
    let largest = 0;
    for (const gateway of gateways) {
      sessions += gateway.sessions.size;
      largest = Math.max(largest, gateway.sessions.size);
      for (const { connection } of gateway.sessions.values()) tls += connection.tlsCount;
    }
    const count = world.gateways.size;
    const messages = Object.fromEntries([...world.sent.counts].map(([kind, n]) => [kind, n / lastedS / count]));
    // Both ends ping every connection, and answer.
    const pings = (tls * 4 * 1_000) / PING_MS / count;
    const jobs = world.books.counts.succeeded - before.jobs;
    const statements = Object.fromEntries(
      [...world.database.statements.counts].map(([kind, n]) => [kind, n / lastedS]),
    );
    const perSecond = Object.values(statements).reduce((a, b) => a + b, 0);
    const waits = gateways.map(({ thread }) => thread.waits);
    return {
      lastedS,
      jobs,
      jobsPerSecond: jobs / lastedS,
      sessions,
      sessionsOfLargestGateway: largest,
      tlsConnections: tls,
      gatewayMemoryMiB: (sessions * COSTS.sessionKiB + (tls - sessions) * COSTS.dataConnectionKiB) / 1_024 / count,
      heartbeatsPerGatewayPerSecond: pings,
      heartbeatsPerWorkerPerSecond: (pings * count) / world.workers.length,
      messagesPerGatewayPerSecond: messages,
      gatewayCpu:
        (gateways.reduce((sum, { thread }) => sum + thread.busyMs, 0) - before.busyMs) / lastedS / 1_000 / count +
        (pings * COSTS.messageMs) / 1_000,
      messageWaitP99Ms: Math.max(...waits.map((one) => one.quantile(0.99))),
      messageWaitMaxMs: Math.max(...waits.map((one) => one.max)),
      statementsPerSecond: statements,
      statementsInAllPerSecond: perSecond,
      statementsPerJob: perSecond / Math.max(1, jobs / lastedS),
      databaseCores: (world.database.busyMs - before.dbMs) / lastedS / 1_000,
      databaseWaitP99Ms: world.database.waits.quantile(0.99),
      queueMs: {
        p50: queueMs.quantile(0.5),
        p90: queueMs.quantile(0.9),
        p99: queueMs.quantile(0.99),
        max: queueMs.max,
      },
      creditUsed: looks === 0 ? 0 : creditUsed / looks,
      modelsWithCreditAtAGateway: looks === 0 ? 0 : gatewaysWithCredit / looks,
      fairnessOfKeys: keyFairness(),
      fairnessOfGateways: jain(
        [...world.gateways.values()].map((one) => one.assignedJobs - (before.assigned.get(one) ?? 0)),
      ),
      handshakes: allHandshakes,
      maxHandshakesPerSecondOfOne: maxHandshakesInSecond,
      maxWaitingHandshakesOfOne: Math.max(maxWaiting, ...gateways.map(({ peakWaiting }) => peakWaiting)),
      refusedHandshakes: refused,
      refusedJobs: Object.fromEntries(refusedJobs.counts),
    };
  }
}

export type Figures = ReturnType<ReturnType<Report['begin']>>;
