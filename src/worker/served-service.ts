/**
 * A local HTTP server as the worker serves it. It takes HTTP exchanges and no jobs. Owner of the state that is reported: it
 * is ready while the server's health check passes, and loading again, with the reason, while it does not.
 */
import { PosternError } from '../errors.ts';
import type { ModelReport } from '../protocol/messages.ts';
import { loadHttpRunner } from '../runners/registry.ts';
import type { HttpRunnerOptions } from '../runners/registry.ts';
import type { ServiceManifest } from './kinds/service/manifest.ts';
import type { IncomingExchange } from './ports.ts';
import type { ServiceRunner } from './runner.ts';
import type { ServedModel } from './served-batch.ts';

export interface ServedServiceOptions extends Pick<
  HttpRunnerOptions,
  'folder' | 'environment' | 'clock' | 'random' | 'logger'
> {
  readonly manifest: ServiceManifest;
  readonly onChange: () => void;
}

export function createServedService(options: ServedServiceOptions): ServedModel {
  const { manifest, onChange } = options;
  const { name, version, kind, concurrency, description } = manifest;
  const about = {
    name,
    version,
    kind,
    maxRows: 1,
    ...(description === undefined ? {} : { description }),
    service: {
      ...(manifest.forward_headers.length === 0 ? {} : { headers: manifest.forward_headers }),
      ...(manifest.kind === 'openai' ? { models: manifest.models ?? [name] } : {}),
    },
  };
  let runner: ServiceRunner | undefined;
  let isReady = false;
  /** Why it is not ready, once somebody knows. */
  let reason: string | null = null;
  let isBroken = false;

  function onState(ready: boolean, why: string | null): void {
    if (ready === isReady && why === reason) return;
    isReady = ready;
    reason = why;
    onChange();
  }

  return {
    name,
    version,
    report: (): ModelReport => ({
      ...about,
      state: isBroken ? 'failed' : isReady ? 'ready' : 'loading',
      ...(reason === null ? {} : { message: reason.slice(0, 2_000) }),
    }),
    capacityRows: () => (isReady ? concurrency : 0),
    async start() {
      try {
        runner = await loadHttpRunner({ ...options, settings: settingsOf(manifest), onState });
        await runner.start();
      } catch (thrown) {
        isBroken = true;
        reason = (thrown as Error).message;
        onChange();
      }
    },
    stop: () => runner?.stop() ?? Promise.resolve(),
    accept() {
      throw new PosternError('input_invalid', `"${name}" is a service: ask it at /services/${name}/…`);
    },
    cancel: () => undefined,
    serve(exchange: IncomingExchange) {
      if (!isReady || !runner) {
        exchange.fail(new PosternError('model_unavailable', `"${name}" is not ready: ${reason ?? 'it starts'}`), true);
        return;
      }
      runner.serve(exchange);
    },
  };
}

function settingsOf(manifest: ServiceManifest): HttpRunnerOptions['settings'] {
  const ms = (s: number): number => s * 1_000;
  const bytes = (mb: number): number => mb * 1024 * 1024;
  return {
    url: manifest.url,
    command: manifest.command ?? null,
    addHeaders: Object.entries(manifest.add_headers).flat(),
    health: {
      path: manifest.health.path,
      intervalMs: ms(manifest.health.interval_s),
      timeoutMs: ms(manifest.health.timeout_s),
    },
    connectTimeoutMs: ms(manifest.timeouts.connect_s),
    idleTimeoutMs: ms(manifest.timeouts.idle_s),
    maxConnections: manifest.concurrency,
    rules: manifest.allow.map((rule) => ({
      methods: rule.methods,
      path: rule.path,
      maxBodyBytes: bytes(rule.max_body_mb ?? manifest.max_body_mb),
      responseTimeoutMs: ms(rule.response_timeout_s ?? manifest.timeouts.response_s),
    })),
  };
}
