/**
 * Every setting of Postern: its key, what it accepts, its default and its words. The one table behind parsing, behind
 * `docs/configuration.md` (a test compares the two) and behind `.env.example`.
 */
import { CLUSTER_SETTINGS } from './settings-cluster.ts';
import { DEPLOY_SETTINGS } from './settings-deploy.ts';
import { TARGET_SETTINGS } from './settings-target.ts';

/** Where a setting matters. */
export type SettingUse = 'gateway' | 'worker' | 'caller' | 'all';

/** What a value must look like. A port to listen on may be 0: the system then chooses, and `--ready-file` tells which. */
export type SettingKind =
  | { readonly type: 'host' }
  /** Hosts, each perhaps with a port. */
  | { readonly type: 'targets' }
  | { readonly type: 'port'; readonly min: 0 | 1 }
  | { readonly type: 'folder' }
  /** A host, or `host:port`. */
  | { readonly type: 'address' }
  | { readonly type: 'file' }
  | { readonly type: 'url' }
  /** `s3://bucket/prefix`. */
  | { readonly type: 's3' }
  /** Origins of pages, comma between. */
  | { readonly type: 'origins' }
  /** Addresses and networks (CIDR), comma between. */
  | { readonly type: 'networks' }
  /** `postgresql://…`: has a password in it, and is never shown. */
  | { readonly type: 'database' }
  /** An API key: never shown, not even when it is wrong. */
  | { readonly type: 'key' }
  | { readonly type: 'program' }
  | { readonly type: 'names' }
  | { readonly type: 'flag' }
  | { readonly type: 'destinations' }
  | { readonly type: 'integer'; readonly min: number; readonly max: number }
  | { readonly type: 'choice'; readonly choices: readonly string[] };

export interface Setting {
  readonly kind: SettingKind;
  readonly use: SettingUse;
  /** As it would be written in `.env`; null: the command decides, and `about` says how. */
  readonly fallback: string | null;
  readonly about: string;
}

export const STORES = ['sqlite', 'memory'] as const;
export const PKI_NAMES = ['uri', 'cn'] as const;
export const MODELS_WATCH = ['off', 'list', 'deploy'] as const;
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export const SETTINGS = {
  POSTERN_HTTP_HOST: {
    kind: { type: 'host' },
    use: 'gateway',
    fallback: '127.0.0.1',
    about:
      'Address that the HTTP API listens on. Beyond loopback it needs an API key (`postern keys create`), or `POSTERN_OPEN=1`.',
  },
  POSTERN_HTTP_PORT: {
    kind: { type: 'port', min: 0 },
    use: 'gateway',
    fallback: '8080',
    about: 'Port of the HTTP API. 0 lets the system choose.',
  },
  POSTERN_PUBLIC_URL: {
    kind: { type: 'url' },
    use: 'gateway',
    fallback: null,
    about:
      'Base of the links in answers, when a proxy in front hides it. By default what the caller’s Host header says.',
  },
  POSTERN_OPEN: {
    kind: { type: 'flag' },
    use: 'gateway',
    fallback: '0',
    about:
      '1 lets anybody who reaches the port make predictions without a key. What concerns keys, workers and other callers stays closed.',
  },
  POSTERN_CORS_ORIGINS: {
    kind: { type: 'origins' },
    use: 'gateway',
    fallback: null,
    about:
      'Origins of other sites whose pages may call the API from a browser, comma between: `https://guide.example`. `*` is any. Cookies are never accepted from them.',
  },
  POSTERN_TRUSTED_PROXIES: {
    kind: { type: 'networks' },
    use: 'gateway',
    fallback: null,
    about:
      'Addresses or networks of proxies in front, comma between: `127.0.0.1,10.0.0.0/8`. Their `X-Forwarded-For` and `X-Forwarded-Proto` are believed, and they may have any number of connections.',
  },
  POSTERN_CONNECTIONS_PER_ADDRESS: {
    kind: { type: 'integer', min: 1, max: 1_000_000 },
    use: 'gateway',
    fallback: '1000',
    about: 'Connections that one address (IPv6: one /64) may have open. More are closed unread.',
  },
  POSTERN_TUNNEL_HOST: {
    kind: { type: 'host' },
    use: 'gateway',
    fallback: null,
    about: 'Address that workers dial. `postern gateway` listens on 0.0.0.0 by default, `postern up` on 127.0.0.1.',
  },
  POSTERN_TUNNEL_PORT: {
    kind: { type: 'port', min: 0 },
    use: 'gateway',
    fallback: '37373',
    about: 'Port that workers dial, mutual TLS only. 0 lets the system choose.',
  },
  POSTERN_TUNNEL_ADDRESS: {
    kind: { type: 'address' },
    use: 'gateway',
    fallback: null,
    about:
      'Host, or `host:port`, under which workers reach the tunnel port: what invitations carry. By default the first public address of this machine, and `POSTERN_TUNNEL_PORT`.',
  },
  POSTERN_TUNNEL_ALLOW: {
    kind: { type: 'networks' },
    use: 'gateway',
    fallback: null,
    about:
      'Addresses or networks that may connect to the tunnel port, comma between: `192.0.2.0/24,2001:db8::/32`. Everybody else is refused before TLS. By default everybody may try.',
  },
  POSTERN_CERTIFICATE_TTL_S: {
    kind: { type: 'integer', min: 10, max: 31_536_000 },
    use: 'gateway',
    fallback: '86400',
    about: 'How long a worker’s certificate counts. The worker renews it by itself at two thirds of that.',
  },
  POSTERN_RENEWAL_GRACE_S: {
    kind: { type: 'integer', min: 0, max: 315_360_000 },
    use: 'gateway',
    fallback: '2592000',
    about:
      'For how long after its end a worker’s certificate can still be renewed, and nothing else: 30 days for a machine that slept. 0: such a worker is invited again.',
  },
  POSTERN_PKI_DIR: {
    kind: { type: 'folder' },
    use: 'gateway',
    fallback: null,
    about:
      'Folder with certificates of another authority (`ca.pem`, `gateway.pem`, `gateway.key`, perhaps `crl.pem`) in place of an own one: docs/security.md.',
  },
  POSTERN_PKI_NAMES: {
    kind: { type: 'choice', choices: PKI_NAMES },
    use: 'gateway',
    fallback: 'uri',
    about:
      'With `POSTERN_PKI_DIR`: where a worker’s certificate has its name. `uri`: the alternative name `postern://worker/<name>`. `cn`: the common name.',
  },
  POSTERN_BODY_LIMIT_BYTES: {
    kind: { type: 'integer', min: 1_024, max: 64 * 1024 * 1024 },
    use: 'gateway',
    fallback: '20971520',
    about: 'Largest request body. A larger one is refused before it is buffered.',
  },
  POSTERN_STORE: {
    kind: { type: 'choice', choices: STORES },
    use: 'gateway',
    fallback: 'sqlite',
    about:
      'Where jobs live. `sqlite`: in a file under `POSTERN_DATA_DIR`, and accepted jobs survive a kill and a power cut. `memory`: they are gone when the gateway is, and cost no disk.',
  },
  BLOB_URL: {
    kind: { type: 's3' },
    use: 'gateway',
    fallback: null,
    about:
      'Where payloads live that are too large for the table of jobs: `s3://bucket/prefix`, see docs/storage.md; the field guide’s photos too, and with `DATABASE_URL` uploaded files. By default folders under `POSTERN_DATA_DIR`.',
  },
  POSTERN_S3_ENDPOINT: {
    kind: { type: 'url' },
    use: 'all',
    fallback: null,
    about:
      'Base URL of a server that speaks S3, for `BLOB_URL` and for `postern models pull` and `push`. By default Amazon’s. Credentials come from the environment (`AWS_…`), a profile or the machine’s role, never from `.env`.',
  },
  POSTERN_S3_REGION: {
    kind: { type: 'host' },
    use: 'all',
    fallback: null,
    about: 'Region of the bucket. By default what `AWS_REGION` or the profile says; with an endpoint `us-east-1`.',
  },
  POSTERN_S3_PATH_STYLE: {
    kind: { type: 'flag' },
    use: 'all',
    fallback: '0',
    about: '1 writes the bucket into the path and not into the host: what most servers other than Amazon’s expect.',
  },
  DATABASE_URL: {
    kind: { type: 'database' },
    use: 'gateway',
    fallback: null,
    about:
      'A PostgreSQL database for the jobs, `postgresql://user:password@host/name`, which several gateways may share: see docs/scaling.md. It wins over `POSTERN_STORE`. By default there is none.',
  },
  ...CLUSTER_SETTINGS,
  POSTERN_QUEUE_LIMIT_JOBS: {
    kind: { type: 'integer', min: 1, max: 1_000_000 },
    use: 'gateway',
    fallback: '10000',
    about: 'Jobs that may wait for one model. Beyond it a caller gets 429 with Retry-After.',
  },
  POSTERN_KEY_LIMIT_JOBS: {
    kind: { type: 'integer', min: 1, max: 1_000_000 },
    use: 'gateway',
    fallback: null,
    about:
      'Predictions that one API key may have undecided, where it has no quota of its own, so that no key fills the queue alone. By default half of `POSTERN_QUEUE_LIMIT_JOBS`.',
  },
  POSTERN_LIMITS_FILE: {
    kind: { type: 'file' },
    use: 'gateway',
    fallback: null,
    about:
      'A YAML file with what may run at once: see “What may run at once” below. By default nothing limits it but the workers’ credit.',
  },
  POSTERN_MAX_ATTEMPTS: {
    kind: { type: 'integer', min: 1, max: 20 },
    use: 'gateway',
    fallback: '3',
    about: 'Attempts of a job that count before it fails. What nobody is to blame for does not count.',
  },
  POSTERN_WAIT_TTL_MS: {
    kind: { type: 'integer', min: 1_000, max: 31_536_000_000 },
    use: 'gateway',
    fallback: '86400000',
    about: 'How long a job without a deadline of its own waits for a worker before it is aborted.',
  },
  POSTERN_RESULT_TTL_MS: {
    kind: { type: 'integer', min: 1_000, max: 31_536_000_000 },
    use: 'gateway',
    fallback: '3600000',
    about: 'How long a decided prediction can be read. Costs disk: the outputs of that long.',
  },
  POSTERN_IDEMPOTENCY_TTL_MS: {
    kind: { type: 'integer', min: 1_000, max: 31_536_000_000 },
    use: 'gateway',
    fallback: '86400000',
    about: 'How long a decided prediction with an `Idempotency-Key` is kept, if that is longer.',
  },
  POSTERN_MAX_RESULTS: {
    kind: { type: 'integer', min: 1, max: 100_000_000 },
    use: 'gateway',
    fallback: null,
    about:
      'Decided predictions kept at most, whatever their age; the oldest go first. By default 1,000,000 in SQLite, 100,000 in memory.',
  },
  POSTERN_MAX_RESULT_BYTES: {
    kind: { type: 'integer', min: 1_048_576, max: 100_000_000_000_000 },
    use: 'gateway',
    fallback: null,
    about: 'The same for the bytes of their outputs. By default 16 GiB in SQLite, 256 MiB in memory.',
  },
  POSTERN_MAX_INPUT_BYTES: {
    kind: { type: 'integer', min: 1_048_576, max: 100_000_000_000_000 },
    use: 'gateway',
    fallback: null,
    about:
      'Inputs of all undecided jobs; beyond it callers get 503 with Retry-After. By default 16 GiB in SQLite, 512 MiB in memory.',
  },
  POSTERN_MAX_FAILED_INPUT_BYTES: {
    kind: { type: 'integer', min: 0, max: 100_000_000_000_000 },
    use: 'gateway',
    fallback: null,
    about:
      'Inputs of failed predictions, kept as long as the prediction so that an administrator can try it again; beyond it those of the oldest go. By default 256 MiB in SQLite, 32 MiB in memory. 0: an input never outlives its prediction’s end.',
  },
  POSTERN_BLOB_GRACE_MS: {
    kind: { type: 'integer', min: 60_000, max: 604_800_000 },
    use: 'gateway',
    fallback: '600000',
    about:
      'How old a payload’s file must be before it is removed because no job names it. Longer than any gateway may stand still between file and row.',
  },
  POSTERN_OUTBOUND_ALLOW: {
    kind: { type: 'destinations' },
    use: 'gateway',
    fallback: null,
    about:
      'Where webhooks and inputs by URL may lead besides public `https://` addresses, with commas between: networks (`10.0.0.0/8`), addresses, hosts, `*.domain`, each perhaps with a port. Nobody checks where a listed host leads.',
  },
  POSTERN_OUTBOUND_HTTP: {
    kind: { type: 'flag' },
    use: 'gateway',
    fallback: '0',
    about:
      '1 allows plain `http://` for webhooks and inputs by URL. Whoever is on the way can then read and change them.',
  },
  ...TARGET_SETTINGS,
  POSTERN_GUIDES_DIR: {
    kind: { type: 'folder' },
    use: 'gateway',
    fallback: './guides',
    about: 'Every folder in it that has a `guide.json` is a guide of the field guide. None: it is not served.',
  },
  POSTERN_GUIDE_PHOTO_TTL_S: {
    kind: { type: 'integer', min: 60, max: 315_360_000 },
    use: 'gateway',
    fallback: '2592000',
    about:
      'How long the field guide keeps photos that people sent: 30 days. What was found on them stays as long as the next one says.',
  },
  POSTERN_GUIDE_RECORD_TTL_S: {
    kind: { type: 'integer', min: 60, max: 315_360_000 },
    use: 'gateway',
    fallback: '31536000',
    about:
      'How long the field guide keeps an identification without its photos: a year. People can delete theirs at any time.',
  },
  POSTERN_WEB_DIR: {
    kind: { type: 'folder' },
    use: 'gateway',
    fallback: './web/dist',
    about:
      'Folder of the built web app, served at `/`. The default is built when it is missing or older than its sources. Where it has no `index.html`, no pages are served.',
  },
  POSTERN_MODELS_DIR: {
    kind: { type: 'folder' },
    use: 'worker',
    fallback: './models',
    about: 'The model repository: `<name>/<version>/postern.yaml`.',
  },
  POSTERN_MODELS_WATCH: {
    kind: { type: 'choice', choices: MODELS_WATCH },
    use: 'worker',
    fallback: 'list',
    about: 'Versions that appear while the worker runs: `list` them, `deploy` them if newer than all before, or `off`.',
  },
  POSTERN_MODEL_SOAK_MS: {
    kind: { type: 'integer', min: 0, max: 2_592_000_000 },
    use: 'gateway',
    fallback: '600000',
    about: 'How long a replaced version stays loaded, so that a rollback works at once. Costs its memory.',
  },
  POSTERN_PYTHON: {
    kind: { type: 'program' },
    use: 'worker',
    fallback: 'python3',
    about:
      'The Python of models that name none: a program, or the folder of a virtual or conda environment. `python.interpreter` of a model’s `postern.yaml` overrides it.',
  },
  POSTERN_PYTHON_ENV: {
    kind: { type: 'names' },
    use: 'worker',
    fallback: null,
    about:
      'Names of variables, with commas between, that models in Python may see beside the harmless ones (PATH, HOME, LANG, CUDA_…): for example `HF_TOKEN`.',
  },
  POSTERN_IDENTITY_DIR: {
    kind: { type: 'folder' },
    use: 'worker',
    fallback: null,
    about:
      'Folder with the worker’s key, certificate and the CA (made by `postern join`, or of another authority: `worker.key`, `worker.pem`, `ca.pem`). By default `<POSTERN_DATA_DIR>/worker`.',
  },
  POSTERN_DATA_DIR: {
    kind: { type: 'folder' },
    use: 'all',
    fallback: './data',
    about:
      'State that must survive: on the gateway the CA and its key, on the worker its identity, and results that the gateway has not acked.',
  },
  POSTERN_DRAIN_MS: {
    kind: { type: 'integer', min: 0, max: 3_600_000 },
    use: 'all',
    fallback: '30000',
    about: 'How long a stop waits for what runs.',
  },
  ...DEPLOY_SETTINGS,
  POSTERN_LOG_LEVEL: {
    kind: { type: 'choice', choices: LOG_LEVELS },
    use: 'all',
    fallback: null,
    about:
      'debug, info, warn, error or silent. info by default; warn under `postern up`, where the banner tells the rest.',
  },
  POSTERN_URL: {
    kind: { type: 'url' },
    use: 'caller',
    fallback: 'http://127.0.0.1:8080',
    about: 'The gateway that predict, models, workers, eval and doctor talk to. `--gateway` overrides it.',
  },
  POSTERN_API_KEY: {
    kind: { type: 'key' },
    use: 'caller',
    fallback: null,
    about: 'The API key that these commands send. `--key-file` overrides it. Never an argument: others see those.',
  },
} as const satisfies Record<string, Setting>;

export type SettingKey = keyof typeof SETTINGS;

export function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(SETTINGS, key);
}
