/** Runs a gateway, and a worker that joins it as one from outside would. */
import { join, resolve } from 'node:path';
import { sleep, systemClock, type Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { ModelSummary } from '../../client/shapes.ts';
import { createClient, type Client } from '../../client/client.ts';
import { makeLocalWorker } from '../../identity/local-worker.ts';
import { loadConfig } from '../env.ts';
import { dialHost, startGateway, type GatewayProcess } from '../gateway-process.ts';
import { untilAskedToEnd, writeReadyFile } from '../lifetime.ts';
import { createLocalWorker } from '../local-worker.ts';
import { createLogger } from '../logging.ts';
import { banner } from '../banner.ts';
import type { Config } from '../config.ts';

export interface UpFlags {
  readonly readyFile?: string;
  readonly guide?: readonly string[];
  readonly json?: boolean;
  readonly models?: string;
}

/** Made anew at every start, so it only has to outlive one. */
const LOCAL_CERTIFICATE_MS = 365 * 86_400_000;
/** Loading and a first inference of every model; after that the banner says what is missing. */
const READY_MS = 30_000;
const READY_POLL_MS = 50;
/** A worker that has announced no model by then has none. */
const EMPTY_MS = 2_000;

export async function up(flags: UpFlags): Promise<void> {
  const startedAt = systemClock.monotonic();
  const settings = loadConfig();
  const config = flags.models === undefined ? settings : { ...settings, modelsDir: resolve(flags.models) };
  const logger = createLogger(config.logLevel ?? 'warn');
  const ending = untilAskedToEnd();
  const started = await startGateway(config, '127.0.0.1', logger, flags.guide);
  const { gateway } = started;
  const worker = createLocalWorker({
    settings: await localSettings(config, started),
    logger,
    clock: systemClock,
    stopMs: config.drainMs + 5_000,
  });
  try {
    await worker.start();
    const url = `http://${dialHost(config.httpHost)}:${gateway.httpPort}`;
    const models = await Promise.race([
      untilModelsSettled(createClient({ gateway: url, apiKey: gateway.lendKey() }), systemClock),
      ending,
    ]);
    if (typeof models !== 'string') {
      const ready = { url, httpPort: gateway.httpPort, tunnelPort: gateway.tunnelPort, pid: process.pid, models };
      const startMs = Math.round(systemClock.monotonic() - startedAt);
      if (flags.readyFile !== undefined) writeReadyFile(flags.readyFile, ready);
      process.stdout.write(
        flags.json === true ? `${JSON.stringify(ready)}\n` : banner({ ...ready, startMs, modelsDir: config.modelsDir }),
      );
    }
    const reason = await ending;
    if (flags.json !== true) process.stdout.write('\nFinishing what runs … (Ctrl-C again ends at once)\n');
    logger.info('draining', { reason, drain_ms: config.drainMs });
    await gateway.drain(config.drainMs);
  } finally {
    await worker.stop();
    await gateway.stop();
  }
}

/** The child's settings: where to dial, with which identity (made now), and the models as this process names them. */
async function localSettings(
  config: Config,
  { gateway, identity, tunnelHost }: GatewayProcess,
): Promise<Record<string, string>> {
  const folder = join(config.dataDir, 'local-worker');
  const { pki, workers } = identity;
  const target = { pki, workers, clock: systemClock, folder };
  await makeLocalWorker({ ...target, name: 'local', models: null, ttlMs: LOCAL_CERTIFICATE_MS });
  return {
    TARGET_HOST: dialHost(tunnelHost).replace(/^\[|\]$/g, ''),
    TARGET_PORT: String(gateway.tunnelPort),
    POSTERN_IDENTITY_DIR: folder,
    POSTERN_DATA_DIR: config.dataDir,
    POSTERN_MODELS_DIR: config.modelsDir,
    POSTERN_PYTHON: config.python,
    POSTERN_LOG_LEVEL: config.logLevel ?? 'warn',
  };
}

/** Resolves when the worker is connected and no model loads any more, or with what there is after READY_MS. */
async function untilModelsSettled(client: Client, clock: Clock): Promise<readonly ModelSummary[]> {
  const startedAt = clock.monotonic();
  let connectedAt: number | null = null;
  for (;;) {
    const [models, workers] = await Promise.all([client.models(), client.workers()]);
    const now = clock.monotonic();
    const worker = workers.find(({ state }) => state === 'connected');
    if (worker !== undefined) {
      connectedAt ??= now;
      const announced = worker.models.length > 0 || now - connectedAt > EMPTY_MS;
      if (announced && models.every(({ state }) => state !== 'loading')) return models;
    }
    if (now - startedAt > READY_MS) {
      if (worker !== undefined) return models;
      throw new PosternError('no_worker', 'the local worker did not connect within 30 s: its log lines above say why');
    }
    await sleep(clock, READY_POLL_MS);
  }
}
