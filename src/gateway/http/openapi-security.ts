/** Who may call what, in the OpenAPI document. A test compares it with the scopes of the routes. */
import { problems } from './openapi-answers.ts';
import { openAiProblems } from './openapi-services.ts';
import { inferenceProblems } from './openapi-v2.ts';

export const SECURITY = {
  key: {
    type: 'http',
    scheme: 'bearer',
    description:
      'An API key, as `postern keys create` prints it. `Authorization: Token <key>` is understood as well. A gateway on loopback that never had a key asks for none.',
  },
  console: {
    type: 'apiKey',
    in: 'cookie',
    name: '__Host-postern-admin',
    description:
      'The cookie of `POST /admin/login` (`postern-admin` where there is no HTTPS). Writes need `X-CSRF-Token` beside it.',
  },
} as const;

/** Answered to anybody. */
export const PUBLIC_PATHS: ReadonlySet<string> = new Set([
  ...['/', '/docs', '/docs/errors', '/openapi.json'],
  ...['/livez', '/readyz', '/health', '/v2', '/v2/health/live', '/v2/health/ready', '/admin/login', '/admin/logout'],
]);

type Operations = Readonly<Record<string, object>>;

/** Every operation that is not public takes a key, and may be refused for it. */
export function withSecurity(paths: Readonly<Record<string, Operations>>): Record<string, Operations> {
  const codes = ['unauthorized', 'forbidden', 'rate_limited'] as const;
  const [native, inference, openAi] = [problems(...codes), inferenceProblems(...codes), openAiProblems(...codes)];
  const formOf = (path: string): object =>
    path.startsWith('/v2') ? inference : path.startsWith('/openai/') ? openAi : native;
  const guard = (operation: object, refusals: object): object => {
    const { responses = {} } = operation as { responses?: Readonly<Record<string, object>> };
    return { ...operation, security: [{ key: [] }, { console: [] }], responses: { ...refusals, ...responses } };
  };
  return Object.fromEntries(
    Object.entries(paths).map(([path, operations]) => [
      path,
      PUBLIC_PATHS.has(path)
        ? operations
        : Object.fromEntries(
            Object.entries(operations).map(([method, operation]) => [method, guard(operation, formOf(path))]),
          ),
    ]),
  );
}
