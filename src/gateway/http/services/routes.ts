/**
 * `/services/{name}/…`: any local HTTP server that the owner of a worker has put online by name and path. What may be asked
 * of it is the worker's to say; here it is only made sure that both sides read the path in one way.
 */
import { PosternError } from '../../../errors.ts';
import type { Clock } from '../../../clock.ts';
import type { Services } from '../../ports.ts';
import { checkModelAccess } from '../access.ts';
import { readSmallBody } from '../body.ts';
import type { BodyBudget } from '../budget.ts';
import type { Forwarder } from '../forward.ts';
import { checkModel } from '../parameters.ts';
import type { Answer, Call, Route, StreamAnswer } from '../route.ts';
import { passThrough } from './pass.ts';

export interface ServiceRoutesOptions {
  readonly services: Services;
  readonly forwarder: Forwarder;
  readonly budget: BodyBudget;
  readonly clock: Clock;
}

export function serviceRoutes({ services, forwarder, budget }: ServiceRoutesOptions): Route[] {
  async function handle(call: Call): Promise<Answer | StreamAnswer> {
    refuseUpgrade(call);
    const service = checkModel(call.params.name ?? '');
    checkModelAccess(call.access, service);
    const path = servicePath(call, `/services/${service}`);
    const share = budget.open();
    try {
      const passing = { service, path, body: await readSmallBody(call.request, share) };
      return await passThrough(call, { services, forwarder }, passing);
    } finally {
      share.release();
    }
  }

  return [
    { method: 'ANY', path: '/services/:name', scope: 'predict', handle },
    { method: 'ANY', path: '/services/:name/*', scope: 'predict', handle },
  ];
}

export function refuseUpgrade({ request }: Call): void {
  if (request.headers.upgrade === undefined) return;
  const to = request.headers.upgrade.slice(0, 40);
  throw new PosternError('upgrade_refused', `An upgrade to "${to}" does not pass through; HTTP/1.1 does, streams too.`);
}

const MAX_PATH_CHARS = 8_192;

/**
 * The path below `prefix`, with the query. What two readers could read in two ways is refused: the worker allows paths by
 * their text, and its server must not find another one in them.
 */
export function servicePath({ request }: Call, prefix: string): string {
  const rest = (request.url ?? '').slice(prefix.length);
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  const [plain = '/'] = path.split('?', 1);
  if (path.length > MAX_PATH_CHARS || !/^[\x21-\x7e]+$/.test(path) || isAmbiguous(plain)) {
    throw new PosternError(
      'bad_request',
      'The path cannot be passed on: it is too long, or has a dot segment, an empty segment, a backslash, or an encoded one of these.',
    );
  }
  return path;
}

function isAmbiguous(path: string): boolean {
  return /\/\.{1,2}(?:\/|$)|\/\/|\\|#|%(?:2e|2f|5c|00)/i.test(path);
}
