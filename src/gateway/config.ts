/**
 * What a gateway can be told. Parsed once into a frozen object; every problem is reported at once, by key; unknown keys are
 * refused. Where the values come from (environment, flags) is the business of `cli/`.
 */
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { DEFAULT_LEASE_MS, DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE_LIMIT, DEFAULT_WAIT_TTL_MS } from '../dispatch/job.ts';
import { DEFAULT_SOAK_MS } from './rollouts/rollouts.ts';
import { parseAllowRule, type OutboundRules } from './outbound/rules.ts';
import type { ConcurrencyLimits } from '../dispatch/limits.ts';
import { DRAIN_MS, MAX_CREDIT_ROWS, MAX_PAYLOAD_BYTES } from '../protocol/limits.ts';
import { isNetwork } from './networks.ts';

const MIB = 1024 * 1024;
const host = z.string().min(1).max(253);
/** 0: the system chooses one; `port` of the started service says which. */
const port = z.int().min(0).max(65_535);

const http = z.strictObject({
  host: host.default('127.0.0.1'),
  port: port.default(8080),
  /** Base of the links in answers, when a proxy in front hides it. Default: what the caller's Host header says. */
  publicUrl: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .default(null),
  /** One request's body. A larger one is refused before it is buffered. */
  maxBodyBytes: z
    .int()
    .min(1024)
    .max(MAX_PAYLOAD_BYTES)
    .default(20 * MIB),
  /** All bodies together between their arrival and their answer; beyond it callers get `overloaded`. */
  maxInFlightBytes: z
    .int()
    .min(MIB)
    .default(256 * MIB),
  /** Beyond it new connections are closed unread: a full house costs nothing more. */
  maxConnections: z.int().min(1).default(10_000),
  /** From the first byte of a request to its last. 60 s carry 20 MiB at 2.8 Mbit/s. */
  requestTimeoutMs: z.int().min(100).default(60_000),
  headersTimeoutMs: z.int().min(100).default(10_000),
  /** Above the 60 s after which load balancers drop an idle connection, so that they are never the surprised ones. */
  keepAliveTimeoutMs: z.int().min(0).default(72_000),
  /** A connection on which nothing moves for so long is cut: a caller that stopped reading. Longer than the longest wait. */
  stalledTimeoutMs: z.int().min(100).default(75_000),
  /** Of one address (IPv6: one /64), so that one caller cannot take them all. Trusted proxies may have any number. */
  maxConnectionsPerAddress: z.int().min(1).default(1_000),
  /** Folder of the built web app; null, or nothing in it: none is served. */
  webDir: z.string().min(1).nullable().default(null),
  /** Lets anybody predict without a key. */
  open: z.boolean().default(false),
  /** Origins of other sites whose pages may call from a browser, such as `https://guide.example`. */
  corsOrigins: z.array(z.string().min(1)).default([]),
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  trustedProxies: z.array(z.string().min(1)).default([]),
  maxHeaderBytes: z.int().min(1024).max(MIB).default(16_384),
});

const tunnel = z.strictObject({
  host: host.default('127.0.0.1'),
  port: port.default(37_373),
  /** Networks (CIDR) whose addresses may connect; none: all. */
  allow: z.array(z.string().refine(isNetwork, 'expected a network like 192.0.2.0/24')).max(256).default([]),
});

const rows = z.int().min(1).max(MAX_CREDIT_ROWS);

/** What may run at once. `POSTERN_LIMITS_FILE` says it in this form, as YAML, with `max_rows` for `maxRows`. */
const limits = z
  .strictObject({
    /** Rows in flight on one worker, over all its models. */
    workerMaxRows: rows.nullable().default(null),
    models: z
      .record(z.string(), z.strictObject({ reservedRows: rows.optional(), maxRows: rows.optional() }))
      .default({}),
  })
  .superRefine(({ workerMaxRows, models }, context) => {
    let reserved = 0;
    for (const [model, { reservedRows = 0, maxRows = Infinity }] of Object.entries(models)) {
      reserved += reservedRows;
      const problem = (message: string): void => context.addIssue({ code: 'custom', path: ['models', model], message });
      if (reservedRows > 0 && workerMaxRows === null) problem('rows can only be reserved where worker.max_rows is set');
      if (reservedRows > maxRows) problem('more rows are reserved than may run');
    }
    if (workerMaxRows !== null && reserved >= workerMaxRows) {
      const message = `${reserved} rows are reserved, which leaves other models none of worker.max_rows (${workerMaxRows})`;
      context.addIssue({ code: 'custom', path: ['workerMaxRows'], message });
    }
  });

const jobs = z.strictObject({
  /** Waiting jobs of one model; beyond it callers get `queue_full`. */
  maxQueueJobs: z.int().min(1).default(DEFAULT_QUEUE_LIMIT),
  /** Undecided jobs of a key without a quota of its own; beyond it callers get `quota_exceeded`. null: half of `maxQueueJobs`. */
  maxJobsOfKey: z.int().min(1).nullable().default(null),
  leaseMs: z.int().min(1000).default(DEFAULT_LEASE_MS),
  maxAttempts: z.int().min(1).default(DEFAULT_MAX_ATTEMPTS),
  /** How long a job without a deadline waits for a worker. */
  waitTtlMs: z.int().min(1000).default(DEFAULT_WAIT_TTL_MS),
  /** How long a decided job can be read. */
  resultTtlMs: z.int().min(1000).default(3_600_000),
  /** The same for one with an idempotency key, if that is longer. */
  idempotencyTtlMs: z.int().min(1000).default(86_400_000),
  /** null, here and below: what suits the driver. */
  maxResults: z.int().min(1).nullable().default(null),
  maxResultBytes: z.int().min(MIB).nullable().default(null),
  maxInputBytes: z.int().min(MIB).nullable().default(null),
  /** Inputs of failed jobs, kept for another try for as long as the job; 0: none. */
  maxFailedInputBytes: z.int().min(0).nullable().default(null),
  blobGraceMs: z.int().min(1000).default(600_000),
});

const models = z.strictObject({
  /** How long a version that was replaced stays loaded, so that one can go back to it at once. Costs its memory for so long. */
  soakMs: z.int().min(0).max(2_592_000_000).default(DEFAULT_SOAK_MS),
});

const files = z.strictObject({
  /** How long an uploaded file is kept. */
  ttlMs: z.int().min(1000).default(86_400_000),
  /** Uploaded files of all callers; beyond it `storage_full`. */
  maxBytes: z
    .int()
    .min(MIB)
    .default(1024 * MIB),
  /** Uploaded files of one caller; beyond it `file_quota_exceeded`. */
  maxCallerBytes: z
    .int()
    .min(1024)
    .default(256 * MIB),
});

const store = z.strictObject({
  /** `sqlite`, `postgres`: an accepted job survives the process, and costs a share of a disk flush. `memory`: it does not. */
  driver: z.enum(['sqlite', 'memory', 'postgres']).default('sqlite'),
  /** Of the database, for `postgres`. */
  url: z.instanceof(Secret).nullable().default(null),
  /** Past any pooler, for notifications; null: the same. */
  listenUrl: z.instanceof(Secret).nullable().default(null),
});

/** `S3Place`: where large payloads go. */
const blobs = z
  .strictObject({
    bucket: z.string().min(3).max(63),
    prefix: z.string().max(200),
    endpoint: z.url({ protocol: /^https?$/ }).nullable(),
    region: z.string().min(1).max(63).nullable(),
    pathStyle: z.boolean(),
  })
  .nullable()
  .default(null);

/** Where others dial: a host, and 0 for the port that is listened on. */
const address = z.strictObject({ host, port }).nullable().default(null);

const cluster = z.strictObject({
  /** Shown in the list of gateways. */
  release: z.string().max(200).default(''),
  /** Where workers reach this gateway. */
  tunnelAddress: address,
  /** Where other gateways send what they cannot serve; `address`: how they reach it, if not so. null: nowhere. */
  peer: z.strictObject({ host, port, address }).nullable().default(null),
});

const outbound = z.strictObject({
  /** What may be requested although it is private, plain http, or on another port: networks, hosts, `*.domain`, each perhaps with a port. */
  allow: z
    .array(z.string().refine((entry) => parseAllowRule(entry) !== null, 'expected a network, an address or a host'))
    .max(256)
    .default([]),
  /** Plain http to public addresses. */
  plainHttp: z.boolean().default(false),
});

const schema = z.strictObject({
  /** State of the gateway: its identity, its jobs and their payloads. Created with mode 0700. */
  dataDir: z.string().min(1),
  /** Name under which workers know this gateway; with a shared store each process has more characters behind it. */
  name: z.string().min(1).max(64).default('gateway'),
  http: http.prefault({}),
  tunnel: tunnel.prefault({}),
  jobs: jobs.prefault({}),
  limits: limits.prefault({}),
  models: models.prefault({}),
  store: store.prefault({}),
  /** null: in a folder under `dataDir`. */
  blobs,
  files: files.prefault({}),
  outbound: outbound.prefault({}),
  /** What gateways that share a store tell each other. */
  cluster: cluster.prefault({}),
  drainMs: z.int().min(0).default(DRAIN_MS),
});

export type GatewayConfig = z.infer<typeof schema>;
export type GatewayConfigInput = z.input<typeof schema>;
export type HttpConfig = GatewayConfig['http'];

/** The rules that the configuration stands for. */
export function outboundRules({ allow, plainHttp }: GatewayConfig['outbound']): OutboundRules {
  return { allow: allow.map((entry) => parseAllowRule(entry)!), plainHttp };
}

export function concurrencyOf({ workerMaxRows, models }: GatewayConfig['limits']): ConcurrencyLimits {
  const entries = Object.entries(models).map(([model, { reservedRows = 0, maxRows = null }]) => {
    return [model, { reservedRows, maxRows }] as const;
  });
  return { workerMaxRows, models: new Map(entries) };
}

/** Throws `config_invalid` naming every key that is wrong. */
export function parseGatewayConfig(input: GatewayConfigInput): GatewayConfig {
  const parsed = schema.safeParse(input);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`);
    throw new PosternError('config_invalid', `The gateway's configuration has problems. ${problems.join('; ')}`);
  }
  return freeze(parsed.data);
}

function freeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) freeze(inner as object);
  return Object.freeze(value);
}
