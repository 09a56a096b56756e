/** The checks of the worker's way to the gateway, each standing on the one before. */
import { lookup } from 'node:dns/promises';
import { connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { readWorkerIdentity, type WorkerCredentials } from '../../identity/worker.ts';
import { PROTOCOL_VERSION } from '../../protocol/limits.ts';
import { createDialContext, dialGateway, type GatewayRule } from '../../worker/dial.ts';
import { percentile } from '../percentile.ts';
import { judgeDates, type Finding, type Step } from './check.ts';
import { openProbeLink, type ProbeLink } from './probe-link.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly identityDir: string;
  readonly gateway: GatewayRule;
}

const CONNECT_MS = 10_000;
const ROUND_TRIPS = 10;
/** How long after its end a gateway renews a certificate by default. */
const RENEWABLE_MS = 30 * 86_400_000;
/** Above it every photo waits noticeably on the wire; half a second is a satellite link. */
const SLOW_ROUND_TRIP_MS = 500;
/** A photo of 300 KB takes a second at 2.4 Mbit/s. */
const SLOW_MBIT_PER_S = 2.4;
const FIRST_PROBE_BYTES = 256 * 1024;
/** The gateway takes no larger one at once. */
const MAX_PROBE_BYTES = 8 * 1024 * 1024;
/** Long enough for TCP to open its window. */
const PROBE_MS = 1_500;

/** The steps share what the earlier ones found; `close` ends the connection, whatever happened. */
export function tunnelSteps({ host, port, identityDir, gateway }: Target): { steps: Step[]; close(): void } {
  let identity: WorkerCredentials | null = null;
  let socket: TLSSocket | null = null;
  let link: ProbeLink | null = null;
  const need = <T>(value: T | null): T => {
    if (value === null) throw new PosternError('internal', 'a check ran before the one that it stands on');
    return value;
  };

  const steps: Step[] = [
    {
      name: 'worker certificate',
      async run() {
        identity = await readWorkerIdentity(identityDir);
        const { name, certificateEndsAt, joinedAt } = identity;
        const what = `the certificate of worker ${name}`;
        const now = systemClock.now();
        const dates = judgeDates(what, certificateEndsAt, now, 'replace worker.pem and worker.key');
        // One that renews itself is always near its end.
        if (joinedAt === null || certificateEndsAt <= now - RENEWABLE_MS) return dates;
        const { advice: _, ...finding } = dates;
        return { ...finding, verdict: 'ok', detail: `${dates.detail}; postern worker renews it` };
      },
    },
    { name: 'name resolution', run: () => resolveName(host) },
    { name: 'tcp', run: () => connectTcp(host, port) },
    {
      name: 'tls',
      async run() {
        const startedAt = systemClock.monotonic();
        let endsAt = 0;
        socket = await dialGateway({
          host,
          port,
          context: createDialContext(need(identity)),
          gateway,
          clock: systemClock,
          timeoutMs: CONNECT_MS,
          onCertificate: ({ validToDate }) => (endsAt = validToDate.getTime()),
        });
        const tookMs = systemClock.monotonic() - startedAt;
        const protocol = socket.getProtocol();
        const what = `${protocol ?? 'TLS'} in ${tookMs.toFixed(0)} ms; the gateway’s certificate`;
        const dates = judgeDates(
          what,
          endsAt,
          systemClock.now(),
          'restart the gateway: it makes a new certificate at its start',
        );
        return { ...dates, figures: { ...dates.figures, handshake_ms: tookMs } };
      },
    },
    {
      name: 'hello',
      async run() {
        link = await openProbeLink(need(socket));
        const { worker, gateway, agent } = link.welcome;
        return {
          verdict: 'ok',
          detail: `postern/${PROTOCOL_VERSION}; ${gateway} (${agent}) knows this worker as ${worker}`,
        };
      },
    },
    { name: 'round trip', run: () => measureRoundTrip(need(link)) },
    { name: 'throughput up', run: () => measureThroughput((bytes) => need(link).sendMs(bytes), 'to the gateway') },
    {
      name: 'throughput down',
      run: () => measureThroughput((bytes) => need(link).receiveMs(bytes), 'from the gateway'),
    },
  ];
  return {
    steps,
    close() {
      if (link !== null) link.close();
      else socket?.destroy();
    },
  };
}

async function resolveName(host: string): Promise<Finding> {
  const startedAt = systemClock.monotonic();
  try {
    const addresses = await lookup(host, { all: true });
    const tookMs = systemClock.monotonic() - startedAt;
    const list = addresses.map(({ address }) => address).join(', ');
    return { verdict: 'ok', detail: `${host} is ${list} (${tookMs.toFixed(0)} ms)`, figures: { took_ms: tookMs } };
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return {
      verdict: 'fail',
      detail: `${host} does not resolve (${code})`,
      advice: 'correct TARGET_HOST, or the DNS of this machine',
    };
  }
}

async function connectTcp(host: string, port: number): Promise<Finding> {
  const startedAt = systemClock.monotonic();
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host, port });
  socket.once('connect', () => resolve(socket)).once('error', reject);
  const limit = systemClock.after(CONNECT_MS, () =>
    reject(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
  );
  try {
    await promise;
    const tookMs = systemClock.monotonic() - startedAt;
    return {
      verdict: 'ok',
      detail: `${host}:${port} answered in ${tookMs.toFixed(1)} ms`,
      figures: { took_ms: tookMs },
    };
  } catch (error) {
    const { code = '' } = innermost(error) as NodeJS.ErrnoException;
    const refused = code === 'ECONNREFUSED';
    return {
      verdict: 'fail',
      detail: refused ? `nothing listens on ${host}:${port}` : `${host}:${port} does not answer (${code})`,
      advice: refused
        ? 'start the gateway, or correct TARGET_PORT to its POSTERN_TUNNEL_PORT'
        : 'let the firewall of the gateway’s machine (and of its provider) pass this port, and check TARGET_HOST',
    };
  } finally {
    limit.cancel();
    socket.on('error', () => undefined).destroy();
  }
}

/** With several addresses Node reports one error that holds the others. */
const innermost = (error: unknown): unknown => (error instanceof AggregateError ? (error.errors[0] as unknown) : error);

async function measureRoundTrip(link: ProbeLink): Promise<Finding> {
  const timesMs: number[] = [];
  for (let i = 0; i < ROUND_TRIPS; i += 1) timesMs.push(await link.roundTripMs());
  const [median, worst] = [percentile(timesMs, 0.5), Math.max(...timesMs)];
  const finding = {
    detail: `${median.toFixed(1)} ms (median of ${ROUND_TRIPS}, worst ${worst.toFixed(1)} ms)`,
    figures: { median_ms: median, worst_ms: worst },
  };
  if (median <= SLOW_ROUND_TRIP_MS) return { verdict: 'ok', ...finding };
  return {
    verdict: 'warn',
    ...finding,
    advice: 'every prediction waits for this: choose a gateway nearer to this machine',
  };
}

/** A small probe first, then one as large as PROBE_MS is likely to carry. */
async function measureThroughput(timeMs: (bytes: number) => Promise<number>, direction: string): Promise<Finding> {
  const firstMs = await timeMs(FIRST_PROBE_BYTES);
  const bytes = Math.min(
    MAX_PROBE_BYTES,
    Math.max(FIRST_PROBE_BYTES, Math.round((FIRST_PROBE_BYTES * PROBE_MS) / firstMs)),
  );
  const tookMs = await timeMs(bytes);
  const mbitPerS = (bytes * 8) / 1000 / tookMs;
  const finding = {
    detail: `${mbitPerS < 10 ? mbitPerS.toFixed(1) : mbitPerS.toFixed(0)} Mbit/s ${direction} (${(bytes / 1024 / 1024).toFixed(1)} MiB in ${tookMs.toFixed(0)} ms)`,
    figures: { mbit_per_s: mbitPerS, bytes, took_ms: tookMs },
  };
  if (mbitPerS >= SLOW_MBIT_PER_S) return { verdict: 'ok', ...finding };
  return {
    verdict: 'warn',
    ...finding,
    advice: 'a photo will take more than a second on the way: have callers shrink photos, or find a faster line',
  };
}
