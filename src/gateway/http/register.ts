/** From the routes to what the server answers: every address, every method, and what is said where there is nothing. */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { PosternError } from '../../errors.ts';
import type { RouteCounts } from './metrics.ts';
import { errorForm, problem, serve, type Answer, type Call, type Desk, type Route } from './route.ts';

/** What Replicate's clients may ask for beside models, predictions and files. */
const NOT_OFFERED = /^\/v1\/(?:account|collections|deployments|hardware|search|trainings)(?:\/|$)/;

/** What `ANY` stands for beside HEAD. */
export const ANY_METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const ALL_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** OPTIONS is answered here for every route: a page of another site asks it without its key. */
function methodsOf({ method }: Route): string[] {
  if (method === 'ANY') return ALL_METHODS.filter((one) => one !== 'OPTIONS');
  return method === 'GET' ? ['GET', 'HEAD'] : [method];
}

/**
 * Every address answers every method: with the route, with 405 and what is allowed, or with 404. `page` is asked first where there is no
 * route: the addresses of an app in the browser are known to that app alone.
 */
export function register(
  app: FastifyInstance,
  routes: readonly Route[],
  counts: RouteCounts[],
  desk: Desk,
  page: (call: Call) => Answer | null,
): void {
  const add = (methods: string[], url: string, route: Route, label: string): void => {
    const ofRoute = new Map<number, number>();
    counts.push({ method: label, route: url, counts: ofRoute });
    app.route({ method: methods, url, handler: serve(route, ofRoute, desk) });
  };
  for (const route of routes) add(methodsOf(route), route.path, route, route.method);

  for (const path of new Set(routes.map((route) => route.path))) {
    const allowed = routes.filter((route) => route.path === path).flatMap(methodsOf);
    const others = ALL_METHODS.filter((method) => !allowed.includes(method));

    const allow = [...allowed, 'OPTIONS'].join(', ');
    add(others, path, { method: 'GET', path, scope: 'public', handle: (call) => notAllowed(call, allow) }, 'other');
  }
  const missing: Route = {
    method: 'GET',
    path: '*',
    scope: 'public',
    handle: (call) => {
      const shown = page(call);
      if (shown !== null) return shown;
      const path = pathOf(call.request);
      const what = NOT_OFFERED.test(path)
        ? `Postern has nothing like Replicate's ${path}; docs/clients.md says what it offers.`
        : `There is nothing at ${path}. GET /openapi.json lists what there is.`;
      throw new PosternError('not_found', what);
    },
  };
  const ofMissing = new Map<number, number>();
  counts.push({ method: 'any', route: '*', counts: ofMissing });
  app.setNotFoundHandler(serve(missing, ofMissing, desk));
}

function notAllowed(call: Call, allow: string): ReturnType<Route['handle']> {
  if (call.request.method === 'OPTIONS') return { status: 204, headers: ['allow', allow], body: '' };
  const error = new PosternError(
    'method_not_allowed',
    `${call.request.method} is not allowed here; allowed: ${allow}.`,
  );
  const answer = problem(error, { requestId: call.id, form: errorForm(call.request) });
  return { ...answer, headers: [...answer.headers, 'allow', allow] };
}

/** The path without the query, which may carry what should not be repeated. */
function pathOf(request: IncomingMessage): string {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  return path.length <= 100 ? path : `${path.slice(0, 97)}...`;
}

const HOST = /^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** Links use the name under which the caller found us. Only that caller sees them, so a forged Host harms nobody else. */
export function createBaseOf(publicUrl: string | null): (call: Call) => string {
  const fixed = publicUrl?.replace(/\/+$/, '') ?? null;
  let lastHost = '';
  let lastBase = '';
  return ({ request }) => {
    if (fixed !== null) return fixed;
    const host = request.headers.host ?? '';
    if (host !== lastHost) {
      lastHost = host;
      lastBase = HOST.test(host) ? `http://${host}` : '';
    }
    return lastBase;
  };
}
