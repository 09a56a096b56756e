/** `/livez`, `/readyz` and `/metrics`: for those who run the gateway. */
import { PosternError } from '../../errors.ts';
import type { LocalPart } from '../local-parts.ts';
import type { Predictions } from '../ports.ts';
import type { Metrics } from './metrics.ts';
import { json, problem, type Route } from './route.ts';

export type Phase = 'starting' | 'ready' | 'draining';

export interface OperationRoutesOptions {
  readonly predictions: Predictions;
  readonly phase: () => Phase;
  /** Why no job can be kept now; null: they can. */
  readonly fault: () => PosternError | null;
  readonly metrics: () => Metrics;
  /** Which build and process answers: `X-Release`; null: nobody asked for it to be told. */
  readonly release: string | null;
  /** What other gateways on the database do not find here. */
  readonly local: readonly LocalPart[];
}

/** A proxy asks again about so often. */
const RETRY_AFTER_S = 1;

export function operationRoutes(options: OperationRoutesOptions): Route[] {
  const { predictions, phase, fault, metrics, release, local } = options;
  const told: readonly string[] = release === null ? [] : ['x-release', release];
  const ready: Route['handle'] = (call) => {
    if (phase() !== 'ready') {
      const error = new PosternError('draining', `The gateway is ${phase()}.`, { retryAfterS: RETRY_AFTER_S });
      return problem(error, { requestId: call.id });
    }
    const broken = fault();
    if (broken !== null) {
      const error = new PosternError(broken.code, broken.message, { retryAfterS: RETRY_AFTER_S });
      return problem(error, { requestId: call.id });
    }
    // Ready means: takes jobs. It does so without a worker too, because jobs are kept until one comes.
    const connected = predictions.workers().filter((worker) => worker.state === 'connected').length;
    return json(
      200,
      JSON.stringify({ status: 'ready', workers: connected, ...(local.length > 0 ? { local } : {}) }),
      told,
    );
  };
  return [
    { method: 'GET', path: '/livez', scope: 'public', handle: () => json(200, '{"status":"ok"}', told) },
    { method: 'GET', path: '/readyz', scope: 'public', handle: ready },
    { method: 'GET', path: '/health', scope: 'public', handle: ready },
    {
      method: 'GET',
      path: '/metrics',
      scope: 'read',
      async handle() {
        const body = await metrics().render();
        return { status: 200, headers: ['content-type', metrics().contentType, 'cache-control', 'no-store'], body };
      },
    },
  ];
}
