/**
 * Configuration, parsed once and purely: text in, one frozen object or every problem at once. Nothing here reads the
 * environment; `env.ts` does.
 */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { PosternError } from '../errors.ts';
import { parseS3Url, type S3Place } from '../blobs/s3-client.ts';
import { parseAllowRule } from '../gateway/outbound/rules.ts';
import { parseProxies } from '../gateway/http/address.ts';
import { parseOrigin } from '../gateway/http/cors.ts';
import { faultOf } from '../identity/keys/token.ts';
import { Secret } from '../secret.ts';
import { MAX_TARGETS } from '../worker/targets.ts';
import { pythonEnvironment } from './python-environment.ts';
import type { FRONTS } from './settings-deploy.ts';
import {
  isSettingKey,
  SETTINGS,
  type LOG_LEVELS,
  type MODELS_WATCH,
  type PKI_NAMES,
  type Setting,
  type SettingKey,
  type STORES,
} from './settings.ts';

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  readonly httpHost: string;
  readonly httpPort: number;
  /** null: what the Host header says. */
  readonly publicUrl: string | null;
  readonly open: boolean;
  readonly corsOrigins: readonly string[];
  readonly trustedProxies: readonly string[];
  readonly connectionsPerAddress: number;
  /** null: the command decides (0.0.0.0 for `gateway`, 127.0.0.1 for `up`). */
  readonly tunnelHost: string | null;
  readonly tunnelPort: number;
  /** Host, or `host:port`, for invitations; null: found out. */
  readonly tunnelAddress: string | null;
  readonly tunnelAllow: readonly string[];
  readonly certificateTtlMs: number;
  readonly renewalGraceMs: number;
  /** null: an own authority. */
  readonly pkiDir: string | null;
  readonly pkiNames: (typeof PKI_NAMES)[number];
  readonly bodyLimitBytes: number;
  readonly store: (typeof STORES)[number];
  /** Where large payloads go; null: a folder under `dataDir`. */
  readonly blobs: S3Place | null;
  /** How to reach S3, for whatever has an address there. */
  readonly s3: Pick<S3Place, 'endpoint' | 'region' | 'pathStyle'>;
  /** null: jobs are not in PostgreSQL. */
  readonly databaseUrl: Secret | null;
  /** null: the same. */
  readonly databaseListenUrl: Secret | null;
  /** null: the address from which the database is reached. */
  readonly peerHost: string | null;
  readonly peerPort: number;
  /** null: what is listened on. */
  readonly peerAddress: string | null;
  readonly queueLimitJobs: number;
  /** null: the gateway's own defaults. */
  readonly jobs: {
    readonly maxJobsOfKey: number | null;
    readonly maxAttempts: number;
    readonly waitTtlMs: number;
    readonly resultTtlMs: number;
    readonly idempotencyTtlMs: number;
    readonly maxResults: number | null;
    readonly maxResultBytes: number | null;
    readonly maxInputBytes: number | null;
    readonly maxFailedInputBytes: number | null;
    readonly blobGraceMs: number;
  };
  /** null: there is none. */
  readonly limitsFile: string | null;
  readonly outboundAllow: readonly string[];
  readonly outboundHttp: boolean;
  /** Hosts, each perhaps with a port. */
  readonly targetHosts: readonly string[];
  readonly targetPort: number;
  /** null: as an own authority writes it. */
  readonly gatewayName: string | null;
  readonly guidesDir: string;
  readonly webDir: string;
  readonly guide: { readonly photoTtlMs: number; readonly recordTtlMs: number };
  readonly modelsDir: string;
  readonly modelsWatch: (typeof MODELS_WATCH)[number];
  readonly modelSoakMs: number;
  readonly python: string;
  /** What models in Python see of the environment. */
  readonly pythonEnvironment: Readonly<Record<string, string>>;
  readonly identityDir: string;
  readonly dataDir: string;
  readonly drainMs: number;
  readonly deployDir: string;
  readonly soakMs: number;
  readonly front: (typeof FRONTS)[number];
  /** null: two ports after `httpPort`. */
  readonly frontUrl: string | null;
  readonly nginxReload: string;
  /** null: the command decides. */
  readonly logLevel: LogLevel | null;
  readonly url: string;
  readonly apiKey: Secret | null;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Host names as in RFC 1123, with underscores because container networks use them. */
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$/;
const isHost = (text: string): boolean => isIP(text) !== 0 || (HOST_NAME.test(text) && !/^[\d.]+$/.test(text));

/** `host`, `host:port`, `[v6]:port`; null: none of these. Without a port it is `defaultPort`. */
export function parseAddress(
  text: string,
  defaultPort: number,
): { readonly host: string; readonly port: number } | null {
  if (isHost(text)) return { host: text, port: defaultPort };
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  return isHost(host) && port >= 1 && port <= 65_535 ? { host, port } : null;
}

/** The other way round. */
export const formatAddress = (host: string, port: number): string =>
  isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;

/** What is wrong with a value, or null. */
function problemWith(setting: Setting, text: string): string | null {
  const { kind } = setting;
  const integer = (min: number, max: number): string | null =>
    /^\d{1,15}$/.test(text) && Number(text) >= min && Number(text) <= max
      ? null
      : `expected a whole number from ${min} to ${max}`;
  switch (kind.type) {
    case 'host':
      return isHost(text) ? null : 'expected a host name or an IP address (without a port)';
    case 'port':
      return integer(kind.min, 65_535);
    case 'address':
      return parseAddress(text, 1) === null ? 'expected a host, or a host and a port like gateway.example:37373' : null;
    case 'folder':
    case 'file':
      return text.includes('\0') ? 'expected a path' : null;
    case 'flag':
      return text === '0' || text === '1' ? null : 'expected 0 or 1';
    case 'integer':
      return integer(kind.min, kind.max);
    case 'choice':
      return kind.choices.includes(text) ? null : `expected one of ${kind.choices.join(', ')}`;
    case 'targets': {
      const items = itemsOf(text);
      return items.length > 0 && items.length <= MAX_TARGETS && items.every((item) => parseAddress(item, 1) !== null)
        ? null
        : `expected up to ${MAX_TARGETS} hosts with commas between, each perhaps with a port, like a.example,b.example:37373`;
    }
    case 'destinations':
      return text.split(',').every((entry) => parseAllowRule(entry) !== null)
        ? null
        : 'expected networks, addresses and hosts with commas between, like 10.0.0.0/8,hooks.internal:8443';
    case 'program':
      return text.includes('\0') ? 'expected a program or a folder' : null;
    case 'names':
      return /^\s*[A-Za-z_]\w*(\s*,\s*[A-Za-z_]\w*)*\s*$/.test(text) ? null : 'expected names with commas between';
    case 'url':
      return isHttpUrl(text) ? null : 'expected a URL like http://127.0.0.1:8080';
    case 's3':
      return parseS3Url(text) === null ? 'expected a bucket and perhaps a prefix, like s3://photos/postern' : null;
    case 'origins':
      return itemsOf(text).every((origin) => origin === '*' || parseOrigin(origin) === origin)
        ? null
        : 'expected origins like https://guide.example, without a path, comma between';
    case 'networks':
      return problemOf(() => parseProxies(itemsOf(text)));
    case 'database':
      return isDatabaseUrl(text) ? null : 'expected a URL like postgresql://user:password@host:5432/name';
    case 'key':
      return faultOf(text);
    default:
      return kind satisfies never;
  }
}

/** What stands between commas. */
const itemsOf = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

function problemOf(parse: () => unknown): string | null {
  try {
    parse();
    return null;
  } catch (error) {
    if (error instanceof PosternError) return error.message;
    throw error;
  }
}

/** The host may be left out: then `host=/folder` among the parameters names a Unix socket's. */
function isDatabaseUrl(text: string): boolean {
  const match = /^postgres(?:ql)?:\/\/([^/?#]*)\/[^/?#]+(?:\?[^#]*)?$/.exec(text);
  return match !== null && !/\s/.test(text);
}

export function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '';
}

/**
 * Reads the keys of Postern out of `env`. Unknown `POSTERN_…` keys are refused, because a misspelt key that is silently
 * ignored is found in production; `POSTERN_TEST_…` belongs to the tests. An empty value counts as absent.
 *
 * Throws config_invalid that names every problem. Values are cut to 60 characters in it.
 */
export function parseConfig(env: Environment, folder: string): Config {
  const problems: string[] = [];
  for (const key of Object.keys(env)) {
    if (!key.startsWith('POSTERN_') || key.startsWith('POSTERN_TEST_') || isSettingKey(key)) continue;
    const near = nearestKey(key);
    problems.push(`${key}: there is no such setting${near === null ? '' : `, did you mean ${near}?`}`);
  }

  const text = (key: SettingKey): string | null => {
    const setting: Setting = SETTINGS[key];
    const value = env[key]?.trim() || setting.fallback;
    if (value === null) return null;
    const problem = problemWith(setting, value);
    if (problem !== null) {
      const got = ['key', 'database'].includes(setting.kind.type) ? '' : `, got ${JSON.stringify(value.slice(0, 60))}`;
      problems.push(`${key}: ${problem}${got}`);
    }
    return value;
  };
  const secret = (key: SettingKey): Secret | null => {
    const value = text(key);
    return value === null ? null : new Secret(value);
  };
  const required = (key: SettingKey): string => text(key) ?? '';
  const path = (key: SettingKey): string => resolve(folder, required(key));

  const dataDir = path('POSTERN_DATA_DIR');
  const integer = (key: SettingKey): number | null => {
    const value = text(key);
    return value === null ? null : Number(value);
  };
  const limitsFile = text('POSTERN_LIMITS_FILE');
  const identityDir = text('POSTERN_IDENTITY_DIR');
  const python = required('POSTERN_PYTHON');
  const pkiDir = text('POSTERN_PKI_DIR');
  const blobUrl = parseS3Url(text('BLOB_URL') ?? '');
  const s3 = Object.freeze({
    endpoint: text('POSTERN_S3_ENDPOINT'),
    region: text('POSTERN_S3_REGION'),
    pathStyle: required('POSTERN_S3_PATH_STYLE') === '1',
  });
  const config: Config = {
    httpHost: required('POSTERN_HTTP_HOST'),
    httpPort: Number(required('POSTERN_HTTP_PORT')),
    publicUrl: text('POSTERN_PUBLIC_URL'),
    open: required('POSTERN_OPEN') === '1',
    corsOrigins: itemsOf(text('POSTERN_CORS_ORIGINS') ?? ''),
    trustedProxies: itemsOf(text('POSTERN_TRUSTED_PROXIES') ?? ''),
    connectionsPerAddress: Number(required('POSTERN_CONNECTIONS_PER_ADDRESS')),
    tunnelHost: text('POSTERN_TUNNEL_HOST'),
    tunnelPort: Number(required('POSTERN_TUNNEL_PORT')),
    tunnelAddress: text('POSTERN_TUNNEL_ADDRESS'),
    tunnelAllow: itemsOf(text('POSTERN_TUNNEL_ALLOW') ?? ''),
    certificateTtlMs: Number(required('POSTERN_CERTIFICATE_TTL_S')) * 1_000,
    renewalGraceMs: Number(required('POSTERN_RENEWAL_GRACE_S')) * 1_000,
    pkiDir: pkiDir === null ? null : resolve(folder, pkiDir),
    pkiNames: required('POSTERN_PKI_NAMES') as Config['pkiNames'],
    bodyLimitBytes: Number(required('POSTERN_BODY_LIMIT_BYTES')),
    store: required('POSTERN_STORE') as Config['store'],
    blobs: blobUrl === null ? null : Object.freeze({ ...blobUrl, ...s3 }),
    s3,
    databaseUrl: secret('DATABASE_URL'),
    databaseListenUrl: secret('POSTERN_DATABASE_LISTEN_URL'),
    peerHost: text('POSTERN_PEER_HOST'),
    peerPort: Number(required('POSTERN_PEER_PORT')),
    peerAddress: text('POSTERN_PEER_ADDRESS'),
    queueLimitJobs: Number(required('POSTERN_QUEUE_LIMIT_JOBS')),
    jobs: Object.freeze({
      maxJobsOfKey: integer('POSTERN_KEY_LIMIT_JOBS'),
      maxAttempts: Number(required('POSTERN_MAX_ATTEMPTS')),
      waitTtlMs: Number(required('POSTERN_WAIT_TTL_MS')),
      resultTtlMs: Number(required('POSTERN_RESULT_TTL_MS')),
      idempotencyTtlMs: Number(required('POSTERN_IDEMPOTENCY_TTL_MS')),
      maxResults: integer('POSTERN_MAX_RESULTS'),
      maxResultBytes: integer('POSTERN_MAX_RESULT_BYTES'),
      maxInputBytes: integer('POSTERN_MAX_INPUT_BYTES'),
      maxFailedInputBytes: integer('POSTERN_MAX_FAILED_INPUT_BYTES'),
      blobGraceMs: Number(required('POSTERN_BLOB_GRACE_MS')),
    }),
    limitsFile: limitsFile === null ? null : resolve(folder, limitsFile),
    outboundAllow: text('POSTERN_OUTBOUND_ALLOW')?.split(',') ?? [],
    outboundHttp: required('POSTERN_OUTBOUND_HTTP') === '1',
    targetHosts: Object.freeze(itemsOf(required('TARGET_HOST'))),
    targetPort: Number(required('TARGET_PORT')),
    gatewayName: text('POSTERN_GATEWAY_NAME'),
    guidesDir: path('POSTERN_GUIDES_DIR'),
    webDir: path('POSTERN_WEB_DIR'),
    guide: Object.freeze({
      photoTtlMs: Number(required('POSTERN_GUIDE_PHOTO_TTL_S')) * 1_000,
      recordTtlMs: Number(required('POSTERN_GUIDE_RECORD_TTL_S')) * 1_000,
    }),
    modelsDir: path('POSTERN_MODELS_DIR'),
    modelsWatch: required('POSTERN_MODELS_WATCH') as Config['modelsWatch'],
    modelSoakMs: Number(required('POSTERN_MODEL_SOAK_MS')),
    python: python.includes('/') ? resolve(folder, python) : python,
    pythonEnvironment: pythonEnvironment(env, text('POSTERN_PYTHON_ENV')),
    identityDir: identityDir === null ? resolve(dataDir, 'worker') : resolve(folder, identityDir),
    dataDir,
    drainMs: Number(required('POSTERN_DRAIN_MS')),
    deployDir: path('POSTERN_DEPLOY_DIR'),
    soakMs: Number(required('POSTERN_SOAK_S')) * 1_000,
    front: required('POSTERN_FRONT') as Config['front'],
    frontUrl: text('POSTERN_FRONT_URL'),
    nginxReload: required('POSTERN_NGINX_RELOAD'),
    logLevel: text('POSTERN_LOG_LEVEL') as LogLevel | null,
    url: required('POSTERN_URL').replace(/\/+$/, ''),
    apiKey: secret('POSTERN_API_KEY'),
  };
  if (problems.length > 0) {
    const list = problems.map((problem) => `\n  ${problem}`).join('');
    throw new PosternError('config_invalid', `the settings cannot be used; correct the environment or .env:${list}`);
  }
  return Object.freeze(config);
}

/** The known key within two edits, for the hint. */
function nearestKey(key: string): string | null {
  let best: { key: string; distance: number } | null = null;
  for (const known of Object.keys(SETTINGS)) {
    const distance = editDistance(key, known);
    if (distance <= 2 && (best === null || distance < best.distance)) best = { key: known, distance };
  }
  return best?.key ?? null;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
