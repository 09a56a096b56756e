/**
 * The messages of `postern/1`: a discriminated union on `type`, one schema each. `docs/protocol.md` describes them;
 * `conformance/` holds a golden vector for every one. Unknown keys are dropped (a later minor release may add some),
 * an unknown `type` closes the connection.
 *
 * Who sends what is part of the schema's comment: `W→G` worker to gateway, `G→W` gateway to worker.
 */
import { z } from 'zod';
import { DATATYPES, MAX_DIMENSIONS, MAX_TENSOR_NAME_CHARS, MAX_TENSORS } from './datatypes.ts';
import {
  attempt,
  bytes,
  contentType,
  durationMs,
  features,
  id,
  limits,
  modelName,
  modelVersion,
  rows,
  text,
  workerName,
} from './fields.ts';
import { join, joined, renew, renewalRefused, renewed } from './enrolment-messages.ts';
import { EXCHANGE_WINDOW_BYTES, MAX_CREDIT_ROWS, MAX_GATEWAYS, MAX_HELD, MAX_INLINE_BYTES } from './limits.ts';

export { modelName, modelVersion, workerName };

/** The first message on every connection. W→G */
export const hello = z.object({
  type: z.literal('hello'),
  /** Protocol versions the worker speaks, best first. */
  versions: z.array(z.int().min(1).max(255)).min(1).max(16),
  /** control opens or resumes a session; data joins it; probe is the link check of `postern doctor`, sent no work. */
  role: z.enum(['control', 'data', 'probe']),
  /** Identifies one run of the worker process (UUID). The name comes from the certificate, never from here. */
  session: id,
  /** Grows with every dial of this session; a lower one than the gateway knows is refused. */
  epoch: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  /** For data connections: the ticket of the welcome. */
  ticket: z.string().max(128).optional(),
  agent: z.string().min(1).max(100),
  limits,
  /** Earlier runs of this worker whose ends it still has: their attempts stay theirs until `gone`, or until their lease ends. */
  previous: z.array(id).max(8).optional(),
  /** `deploy`: it takes that message. `gateways`: it takes that one, and takes credit back. */
  features: features.optional(),
  /** Gateways that it has a session with. One that finds itself here refuses, instead of ending that session for this one. */
  linked: z.array(id).max(64).optional(),
});

/** Answers hello. G→W */
export const welcome = z.object({
  type: z.literal('welcome'),
  version: z.int().min(1).max(255),
  /** Proves on data connections that they belong to this control connection. Random, 128 bits or more. */
  ticket: z.string().min(16).max(128),
  /** Name under which the gateway knows the worker. */
  worker: workerName,
  /** The gateway's name; a worker may hold sessions with several. */
  gateway: id,
  agent: z.string().min(1).max(100),
  limits,
  pingMs: durationMs,
  deadMs: durationMs,
  leaseMs: durationMs,
  /** Empty, and not to be read: the message `gateways` says it, again and again. */
  gateways: z.array(z.string().max(300)).max(MAX_GATEWAYS),
  features: features.optional(),
});

/** Says why a connection is about to be closed; the last message on it. Both ways. */
export const close = z.object({
  type: z.literal('close'),
  /** A code of the error table. */
  code: z.string().max(64),
  message: text,
});

/** Liveness and round trip. `pong` echoes `nonce`. Both ways. */
export const ping = z.object({ type: z.literal('ping'), nonce: z.int().min(0) });
export const pong = z.object({ type: z.literal('pong'), nonce: z.int().min(0) });

export const modelState = z.enum(['loading', 'ready', 'draining', 'failed']);

/** A tensor that a model takes or gives. -1 in the shape: any size. */
const tensorSpec = z.object({
  name: z.string().min(1).max(MAX_TENSOR_NAME_CHARS),
  datatype: z.enum(DATATYPES),
  shape: z.array(z.int().min(-1)).max(MAX_DIMENSIONS),
});
export const tensorSpecs = z.array(tensorSpec).max(MAX_TENSORS);

const service = z.object({
  headers: z.array(z.string().min(1).max(100)).max(32).optional(),
  models: z.array(z.string().min(1).max(200)).max(64).optional(),
});

/** Grows with every decision about a model. */
const revision = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

export const modelReport = z.object({
  name: modelName,
  version: modelVersion,
  state: modelState,
  /** `image-classification`, `echo`, `tensors`, … */
  kind: z.string().min(1).max(64),
  description: z.string().max(500).optional(),
  maxRows: rows,
  /** Why it failed, when it did. */
  message: text.optional(),
  /** Of a version that a `deploy` named: the revision of the latest one that the worker has acted on. */
  revision: revision.optional(),
  /** Of a model that takes tensors, once it is known: what it is made for (`onnx_onnxv1`), its inputs and outputs. */
  platform: z.string().min(1).max(64).optional(),
  inputs: tensorSpecs.optional(),
  outputs: tensorSpecs.optional(),
  /** Of a local HTTP server: which of the caller's headers it is passed beside the usual ones, and the models that it names. */
  service: service.optional(),
});

/** A version that lies in the worker's repository and is not loaded. */
export const storedVersion = z.object({
  name: modelName,
  version: modelVersion,
  /** It came while the worker ran, and the worker's owner wants what comes to be deployed. */
  wish: z.boolean().optional(),
});

/** All models of the worker and their states; replaces the previous list. W→G */
export const models = z.object({
  type: z.literal('models'),
  models: z.array(modelReport).max(256),
  stored: z.array(storedVersion).max(256).optional(),
});

/** Which versions of one model a worker is to keep loaded. */
export const wantedVersions = z.object({
  name: modelName,
  /** A version that could not be loaded is tried again in a new one. */
  revision,
  /** To be served; the first is loaded first. */
  versions: z.array(modelVersion).min(1).max(8),
  /** They stay loaded where they are, are served as long as none of `versions` is, and give way to what needs their memory. */
  standby: z.array(modelVersion).max(8),
  /** Memory that is short may be made by unloading what is served: callers wait until the new version is ready. */
  allowDowntime: z.boolean(),
});

/** Which versions are to be loaded; replaces the list before. Of models that are not in it the worker decides. G→W */
export const deploy = z.object({ type: z.literal('deploy'), models: z.array(wantedVersions).max(256) });

/** Grants credit: the worker accepts `rows` more rows of this model. W→G */
export const grant = z.object({ type: z.literal('grant'), model: modelName, version: modelVersion, rows });

/** Takes back credit that the gateway has not used: at most so many rows, so that another gateway can have them. W→G */
export const withdraw = z.object({ type: z.literal('withdraw'), model: modelName, version: modelVersion, rows });
/** Answers it: so many rows were unused, and are the worker's again. G→W */
export const withdrawn = z.object({
  type: z.literal('withdrawn'),
  model: modelName,
  version: modelVersion,
  rows: z.int().min(0).max(MAX_CREDIT_ROWS),
});

/** Work. Consumes `rows` of the model's credit. The input is the payload. G→W */
export const assign = z.object({
  type: z.literal('assign'),
  job: id,
  attempt,
  model: modelName,
  version: modelVersion,
  rows,
  contentType,
  bytes,
  /** Milliseconds from receipt until the job's deadline; absent: none. A duration, because clocks differ. */
  timeoutMs: durationMs.optional(),
  /** The caller's parameters (top_k, …), checked by the model's kind. */
  parameters: z.record(z.string(), z.json()).optional(),
});

/** Takes an attempt back. The worker answers `canceled` when its slot is free, or `result` if that came first. G→W */
export const cancel = z.object({
  type: z.literal('cancel'),
  job: id,
  attempt,
  reason: z.enum(['caller', 'deadline', 'stale', 'drain']),
});
export const canceled = z.object({ type: z.literal('canceled'), job: id, attempt });

/** How far an attempt is. W→G */
export const progress = z.object({
  type: z.literal('progress'),
  job: id,
  attempt,
  fraction: z.number().min(0).max(1).optional(),
  message: text.optional(),
});

/** A part of the output, numbered from 0 without gaps; kept by the worker until the attempt ends. The part is the payload. W→G */
export const partial = z.object({
  type: z.literal('partial'),
  job: id,
  attempt,
  seq: z.int().min(0),
  contentType,
  bytes,
});

/** Where the worker's time went, milliseconds. */
export const timings = z.object({
  /** In the worker's own queue. */
  queueMs: durationMs,
  /** Decoding and preparing the input. */
  decodeMs: durationMs,
  /** Waiting for the batch to fill. */
  batchMs: durationMs,
  /** The runner's share. */
  computeMs: durationMs,
});

/** The output of an attempt, as the payload. The worker keeps it until acked, and sends it again after a reconnect. W→G */
export const result = z.object({
  type: z.literal('result'),
  job: id,
  attempt,
  contentType,
  bytes,
  timings,
  /** The earlier run that the attempt belongs to; absent: this one. */
  session: id.optional(),
});

/** An attempt that ended without output. Kept until acked, like a result. W→G */
export const failure = z.object({
  type: z.literal('failure'),
  job: id,
  attempt,
  code: z.string().min(1).max(64),
  message: text,
  /** True: another attempt may succeed (crash, unload, drain); false: the input or the model is at fault. */
  retryable: z.boolean(),
  /** As in `result`. */
  session: id.optional(),
});

/** The results or failures that are committed (or will never be needed): the worker may forget them. G→W */
export const ack = z.object({
  type: z.literal('ack'),
  attempts: z.array(z.tuple([id, attempt])).max(1_024),
  /** Of attempts that still run: up to which partial the gateway has all. −1: it has none, and wants them from 0. */
  partials: z
    .array(z.tuple([id, attempt, z.int().min(-1)]))
    .max(1_024)
    .optional(),
});

const held = z.array(z.tuple([id, attempt])).max(MAX_HELD);

/** Nothing more will come of an earlier run: what it held may run elsewhere. W→G */
export const gone = z.object({ type: z.literal('gone'), session: id });

/** Another session of this worker, whose gateway is out of reach: its lease goes on. `attempts`, as in `resume`: its link is lost, and these
 * are all that the worker holds; absent: something may be on its way still. W→G */
export const keep = z.object({ type: z.literal('keep'), session: id, attempts: held.optional() });

/** After a reconnect, all attempts that the worker still holds; the gateway takes back what is not in the list. W→G */
export const resume = z.object({ type: z.literal('resume'), attempts: held });

/** Finish what runs, accept nothing new. Both ways; the other side answers `drained` when nothing is left. */
export const drain = z.object({ type: z.literal('drain'), deadlineMs: durationMs, reason: text });
export const drained = z.object({ type: z.literal('drained') });

/** Link check, on probe connections only. `probe` W→G: payload is discarded and counted. `probe_request` W→G: asks for
 * a payload of `bytes`. `probe_report` G→W answers both, with that payload. */
export const probe = z.object({ type: z.literal('probe'), bytes });
export const probeRequest = z.object({ type: z.literal('probe_request'), bytes });
export const probeReport = z.object({ type: z.literal('probe_report'), bytes, received: bytes });

/** The models of the last `models` message that this worker was not invited for: it is sent no work for them. G→W */
export const denied = z.object({ type: z.literal('denied'), models: z.array(modelName).max(256) });

/** All gateways of the cluster that take workers, this one included; replaces the list before. G→W */
export const gateways = z.object({
  type: z.literal('gateways'),
  gateways: z
    .array(
      z.object({
        /** As in its welcome. */
        id,
        /** `host:port` that leads to it and to no other. Absent: the worker looks for it where it found the others. */
        address: z.string().min(1).max(300).optional(),
      }),
    )
    .max(MAX_GATEWAYS),
});

/** Numbers of HTTP exchanges grow within a session, and are never used again. */
const exchange = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
/** Names and values in turn. */
const headers = z.array(z.string().max(16_384)).max(256);
const pieceBytes = z.int().min(0).max(MAX_INLINE_BYTES);

/** An HTTP request for a service. Consumes one row of its credit. The payload is the begin of its body. G→W */
export const request = z.object({
  type: z.literal('request'),
  exchange,
  model: modelName,
  version: modelVersion,
  method: z.string().regex(/^[A-Z]{1,16}$/),
  /** With the query. */
  path: z
    .string()
    .max(8_192)
    .regex(/^\/[\x21-\x7e]*$/),
  headers,
  /** More of the body follows. */
  more: z.boolean(),
  bytes: pieceBytes,
});

/** Answers it. W→G */
export const response = z.object({
  type: z.literal('response'),
  exchange,
  status: z.int().min(200).max(599),
  headers,
  more: z.boolean(),
  bytes: pieceBytes,
});

/** The next piece of a body, on the connection of its request. Both ways. */
export const body = z.object({ type: z.literal('body'), exchange, more: z.boolean(), bytes: pieceBytes });
/** So many bytes of a body were taken: as many more may be sent. Both ways. */
export const taken = z.object({ type: z.literal('taken'), exchange, count: z.int().min(1).max(EXCHANGE_WINDOW_BYTES) });
/** The exchange is over before its end. `unsent`, from a worker: the service has seen nothing of it. Both ways. */
export const abort = z.object({
  type: z.literal('abort'),
  exchange,
  code: z.string().min(1).max(64),
  message: text,
  unsent: z.boolean().optional(),
});

export const message = z.discriminatedUnion('type', [
  hello,
  welcome,
  close,
  ping,
  pong,
  models,
  deploy,
  grant,
  withdraw,
  withdrawn,
  assign,
  cancel,
  canceled,
  progress,
  partial,
  result,
  failure,
  ack,
  resume,
  gone,
  keep,
  drain,
  drained,
  probe,
  probeRequest,
  probeReport,
  join,
  joined,
  renew,
  renewed,
  renewalRefused,
  denied,
  gateways,
  request,
  response,
  body,
  taken,
  abort,
]);

export type Message = z.infer<typeof message>;
export type MessageType = Message['type'];
export type MessageOf<T extends MessageType> = Extract<Message, { type: T }>;
export type Hello = z.infer<typeof hello>;
export type Welcome = z.infer<typeof welcome>;
export type ModelReport = z.infer<typeof modelReport>;
export type TensorSpec = z.infer<typeof tensorSpec>;
export type StoredVersion = z.infer<typeof storedVersion>;
export type WantedVersions = z.infer<typeof wantedVersions>;
export type ModelState = z.infer<typeof modelState>;
export type Timings = z.infer<typeof timings>;
export type Assign = z.infer<typeof assign>;
/** The messages that carry a payload: their `bytes` says how long it is. */
export type PayloadMessage = Extract<Message, { bytes: number }>;
