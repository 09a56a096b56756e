/** `/v1/predictions`: make one, read it, wait for it, list, cancel. Speaks to the engine through the Predictions port only. */
import type { ServerResponse } from 'node:http';
import { ERROR_CODES, PosternError } from '../../errors.ts';
import type { Clock } from '../../clock.ts';
import { TERMINAL, type Job, type Payload } from '../../dispatch/job.ts';
import type { Webhook } from '../../dispatch/webhook.ts';
import type { Files } from '../files/files.ts';
import type { Predictions } from '../ports.ts';
import { checkModelAccess, mayUseModel, listedCaller, ownJob } from './access.ts';
import type { BodyBudget, Share } from './budget.ts';
import { CallerGone } from './body.ts';
import { fileIdIn, fileInput } from './files.ts';
import { isInputAddress, type InputAddress, type InputFetcher } from './input-url.ts';
import { readPrediction } from './input.ts';
import { readJobQuery, single } from './job-query.ts';
import {
  badParameter,
  checkModel,
  clip,
  earliest,
  parseCancelAfter,
  parseIdempotencyKey,
  parsePrefer,
  parseWait,
} from './parameters.ts';
import { asBuffer, entityTag, MAX_LISTED_BYTES, renderPrediction, serverTiming } from './render.ts';
import type { WebhookRequest } from './webhook-fields.ts';
import { json, problem, type Answer, type Call, type Route } from './route.ts';

export interface PredictionRoutesOptions {
  readonly predictions: Predictions;
  readonly budget: BodyBudget;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  readonly inputs: InputFetcher;
  /** What is wrong with the address of a webhook; null: nothing. */
  readonly webhookRefusal: (url: string) => string | null;
  readonly files: Files;
  /** `http://host:port` of the links in an answer to this call. */
  readonly baseOf: (call: Call) => string;
}

export function predictionRoutes(options: PredictionRoutesOptions): Route[] {
  const { predictions, budget, clock, maxBodyBytes, inputs, files, webhookRefusal, baseOf } = options;

  async function create(call: Call, modelOfPath: string | null): Promise<Answer> {
    const { headers } = call.request;
    // Before the body is read, where the address names the model already.
    if (modelOfPath !== null) checkModelAccess(call.access, modelOfPath);
    const share = budget.open();
    try {
      const waitMs = parsePrefer(headers.prefer);
      const cancelAfterMs = parseCancelAfter(headers['cancel-after']);
      const idempotencyKey = parseIdempotencyKey(headers['idempotency-key']);
      const nowMs = clock.now();
      const body = await readPrediction({
        request: call.request,
        query: call.query,
        limits: { maxBytes: maxBodyBytes, share },
        nowMs,
      });
      const model = modelOfPath ?? body.model ?? (await modelOfVersion(call, body.version));
      if (model === null) throw badParameter('No model was named; expected "model": "local/<name>" beside "input".');
      if (modelOfPath !== null && body.model !== null && body.model !== modelOfPath) {
        throw badParameter(`The address names the model "${modelOfPath}", the body "${body.model}".`);
      }
      checkModelAccess(call.access, model);
      const webhook = body.webhook === null ? null : allowed(body.webhook, baseOf(call));
      let job = await predictions.submit({
        model,
        version: body.version,
        input: isInputAddress(body.input) ? await fetched(call, body.input, share) : body.input,
        parameters: body.parameters,
        priority: body.priority,
        caller: call.caller,
        maxUndecidedJobs: call.access.maxUndecidedJobs,
        deadlineAt: earliest(body.deadlineAt, cancelAfterMs === null ? null : nowMs + cancelAfterMs),
        idempotencyKey,
        webhook,
      });
      if (waitMs > 0 && !TERMINAL.has(job.status)) {
        // The job is recorded: whatever ends the wait, the answer is its id and never an error that asks for another one.
        const later = await predictions.wait(job.id, waitMs, leaving(call.response)).catch(() => null);
        job = later ?? job;
      }
      return await created(call, waitMs > 0 && endsOnProcessing(call) ? asStarting(job) : job);
    } finally {
      share.release();
    }
  }

  /** Refused before anything is recorded: nobody would see what became of it later. */
  function allowed(webhook: WebhookRequest, base: string): Webhook {
    const reason = webhookRefusal(webhook.url);
    if (reason === null) return { ...webhook, base };
    throw new PosternError('webhook_refused', `The address in "webhook" is not called: ${reason}.`);
  }

  /** Replicate's client names the version alone. That is enough where only one model has it. */
  async function modelOfVersion(call: Call, version: string | null): Promise<string | null> {
    if (version === null) return null;
    const having = (await predictions.models()).filter(
      ({ name, versions }) => mayUseModel(call.access, name) && versions.some((one) => one.version === version),
    );
    if (having.length < 2) return having[0]?.name ?? null;
    const [first, second] = having.map(({ name }) => `"${name}@${version}"`);
    throw badParameter(`Several models have the version "${clip(version)}"; expected ${first}, ${second} or another.`);
  }

  /** A caller who leaves takes the download along: nothing is recorded yet. */
  async function fetched(call: Call, address: InputAddress, share: Share): Promise<Payload> {
    const own = fileIdIn(address.url, baseOf(call));
    if (own !== null) return await fileInput(files, call.access, own, share);
    const signal = leaving(call.response);
    try {
      return await inputs.fetch(address, share, signal);
    } catch (error) {
      throw signal.aborted ? new CallerGone('the caller left while its input was fetched') : error;
    }
  }

  /** A decided job is 201, an undecided one 202; an input that the model refused is a problem, when the caller waited. */
  async function created(call: Call, job: Job): Promise<Answer> {
    const base = baseOf(call);
    const location = `${base}/v1/predictions/${job.id}`;
    if (!TERMINAL.has(job.status)) {
      // It is recorded: its id is owed, its place in the line is not.
      const queuePosition = await positionOf(job)?.catch(() => null);
      const body = renderPrediction(job, { base, queuePosition: queuePosition ?? null });
      return json(202, body, ['location', location]);
    }
    if (job.error !== null && isInputFault(job)) {
      const refused = problem(new PosternError(job.error.code, job.error.message), {
        requestId: call.id,
        prediction: job.id,
      });
      return { ...refused, headers: [...refused.headers, 'location', location] };
    }
    const more = ['location', location];
    if (job.timings !== null) more.push('server-timing', serverTiming(job.timings));
    return json(201, renderPrediction(job, { base, queuePosition: null }), more);
  }

  async function read(call: Call): Promise<Answer> {
    const id = call.params.id ?? '';
    const waitMs = parseWait(single(call, 'wait'));
    let job = ownJob(call.access, id, await predictions.get(id));
    if (waitMs > 0 && !TERMINAL.has(job.status)) {
      job = ownJob(call.access, id, await predictions.wait(id, waitMs, leaving(call.response)));
    }
    const queuePosition = await positionOf(job);
    const deliveries = job.webhook === null ? undefined : await predictions.deliveriesOf(job.id);
    const etag = entityTag(job, queuePosition, deliveries);
    if (matches(call.request.headers['if-none-match'], etag)) {
      return { status: 304, headers: ['etag', etag, 'cache-control', 'no-store'], body: '' };
    }
    const more = ['etag', etag];
    if (job.timings !== null) more.push('server-timing', serverTiming(job.timings));
    const shown = { base: baseOf(call), queuePosition, ...(deliveries === undefined ? {} : { deliveries }) };
    return json(200, renderPrediction(job, shown), more);
  }

  async function readOutput(call: Call): Promise<Answer> {
    const id = call.params.id ?? '';
    const { output, status } = ownJob(call.access, id, await predictions.get(id));
    if (output === null) throw new PosternError('not_found', `The prediction is ${status} and has no output.`);
    const headers = [
      'content-type',
      output.contentType,
      'cache-control',
      'no-store',
      'x-content-type-options',
      'nosniff',
    ];
    // An output is data of whoever wrote the model; opened as a page it must not act as one of ours.
    headers.push('content-security-policy', "default-src 'none'; sandbox");
    return { status: 200, headers, body: asBuffer(output.bytes) };
  }

  async function cancel(call: Call): Promise<Answer> {
    const id = call.params.id ?? '';
    ownJob(call.access, id, await predictions.get(id));
    const job = ownJob(call.access, id, await predictions.cancel(id));
    return json(200, renderPrediction(job, { base: baseOf(call), queuePosition: await positionOf(job) }));
  }

  async function list(call: Call): Promise<Answer> {
    const caller = listedCaller(call.access);
    const { limit, cursor, status, model } = readJobQuery(call);
    const filter = { ...(status === undefined ? {} : { status }), ...(model === undefined ? {} : { model }) };
    const page = await predictions.list({ limit, cursor, ...filter, ...(caller === undefined ? {} : { caller }) });
    const base = baseOf(call);
    const results = page.jobs.map((job) =>
      renderPrediction(job, { base, queuePosition: null, maxOutputBytes: MAX_LISTED_BYTES }),
    );
    const next = page.next === null ? null : `${base}/v1/predictions?${nextQuery(page.next, limit, filter)}`;
    return json(200, `{"results":[${results.join(',')}],"next":${JSON.stringify(next)},"previous":null}`);
  }

  function positionOf(job: Job): Promise<number | null> | null {
    return job.status === 'starting' ? predictions.queuePosition(job.id) : null;
  }

  return [
    { method: 'POST', path: '/v1/predictions', scope: 'predict', handle: (call) => create(call, null) },
    {
      method: 'POST',
      path: '/v1/models/:owner/:name/predictions',
      scope: 'predict',
      handle: (call) => create(call, checkModel(call.params.name ?? '')),
    },
    { method: 'GET', path: '/v1/predictions', scope: 'predict', handle: list },
    { method: 'GET', path: '/v1/predictions/:id', scope: 'predict', handle: read },
    { method: 'GET', path: '/v1/predictions/:id/output', scope: 'predict', handle: readOutput },
    { method: 'POST', path: '/v1/predictions/:id/cancel', scope: 'predict', handle: cancel },
  ];
}

/**
 * `run()` of Replicate's clients takes every answer to `Prefer: wait` for the end, unless its status is `starting`: after a wait
 * that was too short it would give its caller the output of what still runs, which is nothing. So they hear that it starts.
 */
function endsOnProcessing({ request }: Call): boolean {
  return /^replicate-(?:javascript|python)\//.test(request.headers['user-agent'] ?? '');
}

function asStarting(job: Job): Job {
  return job.status === 'processing' ? { ...job, status: 'starting' } : job;
}

function isInputFault({ status, error }: Job): boolean {
  return status === 'failed' && error !== null && ERROR_CODES[error.code].status < 500;
}

/** Why a wait ended early. One object: making an error with its stack per departed caller would be the dearest part of it. */
const LEFT = new Error('the caller left');

/** Aborted when the caller goes away before the answer: the wait ends, the recorded work goes on. */
export function leaving(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort(LEFT);
  });
  return controller.signal;
}

function nextQuery(cursor: string, limit: number, filter: { status?: string; model?: string }): string {
  const query = new URLSearchParams({ cursor, limit: String(limit) });
  for (const [name, value] of Object.entries(filter)) query.set(name, value);
  return query.toString();
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}
