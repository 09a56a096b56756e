/** `postern.yaml` of a local HTTP server: a `service` as it is, or one that speaks the API of OpenAI. */
import { z } from 'zod';
import { NEVER_FORWARDED } from '../../../protocol/http-headers.ts';
import { common } from '../../manifest-keys.ts';

/** A day: longer work belongs into predictions, which survive a restart. */
const seconds = (fallback: number) => z.number().min(0.1).max(86_400).default(fallback);
const method = z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);
/** `*` stands for one segment, `**` at the end for any rest. */
const pathPattern = z
  .string()
  .max(500)
  .regex(
    /^(?:\/(?:\*|[A-Za-z0-9._~!$&'()+,;=:@%-]+))*\/(?:\*\*)?$|^(?:\/(?:\*|[A-Za-z0-9._~!$&'()+,;=:@%-]+))+$/,
    'must be a path like /items/* (one segment) or /static/** (any rest)',
  );
const headerName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,99}$/, 'must be the name of a header in lower case');
const forwarded = headerName.refine((name) => !NEVER_FORWARDED.has(name), 'is never passed to a service');

const rule = z.strictObject({
  methods: z.array(method).min(1),
  path: pathPattern,
  max_body_mb: z.number().min(0).max(65_536).optional(),
  response_timeout_s: seconds(300).optional(),
});

const shared = {
  ...common,
  concurrency: z.int().min(1).max(256).default(64),
  runner: z.literal('http'),
  url: z
    .string()
    .max(300)
    .regex(/^http:\/\/(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?:\d{1,5}|\{port\})$/, {
      message: 'must be http://<address>:<port> without a path; {port} is a free port that the command is told',
    }),
  command: z
    .strictObject({
      run: z.array(z.string().min(1).max(1_000)).min(1).max(100),
      env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/), z.string().max(10_000)).default({}),
    })
    .optional(),
  forward_headers: z.array(forwarded).max(32).default([]),
  add_headers: z.record(forwarded, z.string().max(4_000)).default({}),
  health: z
    .strictObject({
      path: z
        .string()
        .max(500)
        .regex(/^\/[\x21-\x7e]*$/)
        .default('/health'),
      interval_s: seconds(5),
      timeout_s: seconds(2),
    })
    .prefault({}),
  timeouts: z.strictObject({ connect_s: seconds(5), response_s: seconds(300), idle_s: seconds(300) }).prefault({}),
  max_body_mb: z.number().min(0).max(65_536).default(64),
};

export const service = z.strictObject({
  ...shared,
  kind: z.literal('service'),
  allow: z.array(rule).min(1).max(256),
});

export const openai = z.strictObject({
  ...shared,
  kind: z.literal('openai'),
  allow: z
    .array(rule)
    .min(1)
    .max(256)
    .default([{ methods: ['GET', 'POST', 'DELETE'], path: '/v1/**' }]),
  models: z.array(z.string().min(1).max(200)).min(1).max(64).optional(),
});

export type ServiceManifest = Readonly<z.infer<typeof service>> | Readonly<z.infer<typeof openai>>;
