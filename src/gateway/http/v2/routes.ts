/**
 * The Open Inference Protocol, version 2, as `tritonclient` and others speak it. Its calls are answered on the line and not
 * recorded: a caller that leaves takes its work along. Models that take no tensors are offered as files in BYTES.
 */
import { PosternError } from '../../../errors.ts';
import type { Clock } from '../../../clock.ts';
import type { Payload } from '../../../dispatch/job.ts';
import type { RawTensor } from '../../../protocol/datatypes.ts';
import type { ModelReport } from '../../../protocol/messages.ts';
import { decodeTensors, encodeTensorsIn, TENSORS_TYPE } from '../../../protocol/tensors.ts';
import type { Predictions } from '../../ports.ts';
import { roomOf, type ReportedModel, type Room } from '../../room.ts';
import { checkModelAccess, mayUseModel } from '../access.ts';
import { announcedBytes, hasBody, readSmallBody } from '../body.ts';
import type { BodyBudget, Share } from '../budget.ts';
import type { Forwarder } from '../forward.ts';
import { isPeer } from '../forwarded.ts';
import type { Phase } from '../operations.ts';
import { checkModel, checkVersion, clip, ParameterSet } from '../parameters.ts';
import { leaving } from '../predictions.ts';
import { serverTiming } from '../render.ts';
import { json, type Answer, type Call, type Route, type StreamAnswer } from '../route.ts';
import { runUnrecorded } from '../unrecorded.ts';
import { BYTES_INPUT, BYTES_OUTPUT, payloadOf, tensorsOf } from './bytes-models.ts';
import { inferAnswer } from './infer-answer.ts';
import { readInferBody } from './infer-body.ts';
import { readInferRequest, readRawRequest, type InferRequest } from './infer-request.ts';

export interface V2RoutesOptions {
  readonly predictions: Predictions;
  readonly budget: BodyBudget;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  readonly forwarder: Forwarder;
  readonly phase: () => Phase;
}

/** Below the time after which a silent connection is cut. Also the default, when the caller names no timeout. */
const MAX_TIMEOUT_MS = 60_000;
/** A worker that dials again is back in about a second. */
const RETRY_AFTER_S = 1;
const SERVER = JSON.stringify({
  name: 'postern',
  version: '2',
  extensions: ['binary_tensor_data', 'classification', 'model_configuration', 'model_repository'],
});

export function v2Routes(options: V2RoutesOptions): Route[] {
  const { predictions, budget, clock, maxBodyBytes, forwarder, phase } = options;

  async function infer(call: Call): Promise<Answer | StreamAnswer> {
    const { model, version } = target(call);
    const room = roomOf(predictions.report(model, version));
    const elsewhere = room === 'free' ? null : await inferElsewhere(call, model, version, room);
    if (elsewhere !== null) return elsewhere;
    await predictions.settled(model);
    const { report } = ready(call);
    const share = budget.open();
    try {
      const { request, body } = await read(call, report, share);
      const job = await runUnrecorded(
        {
          model,
          version,
          ...inputOf(request, body, report),
          priority: 0,
          caller: call.caller,
          maxUndecidedJobs: call.access.maxUndecidedJobs,
        },
        {
          predictions,
          clock,
          timeoutMs: Math.min(request.timeoutMs ?? MAX_TIMEOUT_MS, MAX_TIMEOUT_MS),
          signal: leaving(call.response),
        },
      );
      const tensors = outputOf(job.output!, request);
      const more = job.timings === null ? [] : ['server-timing', serverTiming(job.timings)];
      return inferAnswer(request, job, tensors, { batched: isBatched(report), more });
    } finally {
      share.release();
    }
  }

  /** Where no own worker serves the model a small body is kept, so that a second gateway may be asked. */
  async function inferElsewhere(
    call: Call,
    model: string,
    version: string | null,
    room: Room,
  ): Promise<StreamAnswer | null> {
    if ((announcedBytes(call.request) ?? 0) > maxBodyBytes) return null;
    if (room === 'busy') {
      return forwarder.instead(call, { version, room }, { model, body: null, repeatable: true });
    }
    if (isPeer(call.request.socket) || !forwarder.servedElsewhere(model, version)) return null;
    const share = budget.open();
    try {
      const body = await readSmallBody(call.request, share);
      const answer = await forwarder.instead(call, { version, room }, { model, body, repeatable: true });
      if (answer !== null || body === null) return answer;
      throw new PosternError('no_worker', `No gateway that can be reached serves the model "${model}" now.`, {
        retryAfterS: RETRY_AFTER_S,
      });
    } finally {
      share.release();
    }
  }

  async function read(call: Call, report: ModelReport, share: Share): Promise<Received> {
    if (!hasBody(call.request))
      throw new PosternError('missing_input', 'The request has no body; expected {"inputs": [...]}.');
    const { body, headerBytes } = await readInferBody(call.request, { maxBytes: maxBodyBytes, share });
    const request =
      headerBytes === 0 ? readRawRequest(body, report.inputs ?? [BYTES_INPUT]) : readInferRequest(body, headerBytes);
    return { request, body };
  }

  /** Model and version of the path, where the caller may use them. */
  function target(call: Call): { model: string; version: string | null } {
    const model = checkModel(call.params.name ?? '');
    checkModelAccess(call.access, model);
    const version = call.params.version === undefined ? null : checkVersion(call.params.version);
    return { model, version };
  }

  function known(call: Call): ReportedModel {
    const { model, version } = target(call);
    const found = predictions.report(model, version);
    if (found !== null) return found;
    const which = version === null ? `model "${clip(model)}"` : `version "${clip(version)}" of "${clip(model)}"`;
    throw new PosternError('model_not_found', `There is no ${which}. POST /v2/repository/index lists them.`);
  }

  function ready(call: Call): { report: ModelReport } {
    const found = known(call);
    if (found.ready) return found;
    const why =
      found.report.state === 'failed' ? `It could not be loaded: ${found.report.message ?? 'see the log'}.` : '';
    throw new PosternError('no_worker', `No worker serves the model "${found.report.name}" now. ${why}`.trim(), {
      retryAfterS: RETRY_AFTER_S,
    });
  }

  function readyAnywhere(call: Call): string {
    const { model, version } = target(call);
    const isHere = roomOf(predictions.report(model, version)) !== 'none';
    return !isHere && forwarder.servedElsewhere(model, version) ? model : ready(call).report.name;
  }

  async function metadata(call: Call): Promise<Answer> {
    const { report } = known(call);
    const { platform, inputs, outputs } = signature(report);
    const model = (await predictions.models()).find(({ name }) => name === report.name);
    const versions = model?.versions.map(({ version }) => version) ?? [report.version];
    return json(200, JSON.stringify({ name: report.name, versions, platform, inputs, outputs }));
  }

  function configuration(call: Call): Answer {
    const { report } = known(call);
    const { platform, inputs, outputs } = signature(report);
    const batched = isBatched(report);
    const side = (specs: typeof inputs): object[] =>
      specs.map(({ name, datatype, shape }) => ({
        name,
        data_type: datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`,
        dims: batched ? shape.slice(1) : shape,
      }));
    const body = { name: report.name, platform, max_batch_size: batched ? report.maxRows : 0 };
    return json(200, JSON.stringify({ ...body, input: side(inputs), output: side(outputs) }));
  }

  async function index(call: Call): Promise<Answer> {
    const models = (await predictions.models()).filter(({ name }) => mayUseModel(call.access, name));
    const entries = models.flatMap(({ name, versions }) =>
      versions.length === 0
        ? [{ name, version: '', state: 'UNAVAILABLE', reason: 'no worker serves it now' }]
        : versions.map(({ version, state }) => ({
            name,
            version,
            state: state === 'ready' ? 'READY' : 'UNAVAILABLE',
            reason: state === 'ready' ? '' : state,
          })),
    );
    return json(200, JSON.stringify(entries));
  }

  const perModel = (path: string): Route[] => [
    { method: 'GET', path, scope: 'predict', handle: metadata },
    {
      method: 'GET',
      path: `${path}/ready`,
      scope: 'predict',
      handle: (call) => json(200, JSON.stringify({ name: readyAnywhere(call), ready: true })),
    },
    { method: 'GET', path: `${path}/config`, scope: 'predict', handle: configuration },
    { method: 'POST', path: `${path}/infer`, scope: 'predict', handle: infer },
  ];
  return [
    { method: 'GET', path: '/v2', scope: 'public', handle: () => json(200, SERVER) },
    { method: 'GET', path: '/v2/health/live', scope: 'public', handle: () => json(200, '{"live":true}') },
    {
      method: 'GET',
      path: '/v2/health/ready',
      scope: 'public',
      handle() {
        if (phase() === 'ready') return json(200, '{"ready":true}');
        throw new PosternError('draining', `The gateway is ${phase()}.`, { retryAfterS: RETRY_AFTER_S });
      },
    },
    { method: 'POST', path: '/v2/repository/index', scope: 'predict', handle: index },
    ...perModel('/v2/models/:name'),
    ...perModel('/v2/models/:name/versions/:version'),
  ];
}

/** More than one row at once means that the first dimension is the row. */
const isBatched = ({ inputs, maxRows }: ModelReport): boolean => inputs !== undefined && maxRows > 1;

function signature(report: ModelReport) {
  const { inputs = [BYTES_INPUT], outputs = [BYTES_OUTPUT], platform = `postern_${report.kind}` } = report;
  return { inputs, outputs, platform };
}

interface Received {
  readonly request: InferRequest;
  /** Its bytes, which are nobody else's. */
  readonly body: Buffer;
}

interface ModelInput {
  readonly input: Payload;
  readonly parameters: ParameterSet['values'];
  readonly rows: number;
}

/** What `body` says is known now: it may be written over. */
function inputOf(request: InferRequest, body: Buffer, report: ModelReport): ModelInput {
  const parameters = new ParameterSet();
  for (const [name, value] of Object.entries(request.parameters)) parameters.add(name, value);
  if (report.inputs === undefined) return { input: payloadOf(request.inputs), parameters: parameters.values, rows: 1 };
  const outputs = request.outputs?.map(({ name }) => name) ?? null;
  const bytes = encodeTensorsIn(body, { tensors: request.inputs, outputs });
  // The credit of a model counts rows. How many a caller may send, the worker says.
  const rows = isBatched(report) ? (request.inputs[0]?.shape[0] ?? 1) : 1;
  return {
    input: { contentType: TENSORS_TYPE, bytes },
    parameters: parameters.values,
    rows: Math.max(1, Math.min(rows, report.maxRows)),
  };
}

/** The worker is not believed: what it sent is checked like anything else from outside. */
function outputOf(output: Payload, request: InferRequest): readonly RawTensor[] {
  if (output.contentType !== TENSORS_TYPE) {
    refuseStrangers(request);
    return tensorsOf(output);
  }
  try {
    return decodeTensors(output.bytes).tensors;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    throw new PosternError('output_invalid', `The worker's tensors cannot be read: ${why}`, { cause });
  }
}

function refuseStrangers({ outputs }: InferRequest): void {
  const stranger = outputs?.find(({ name }) => name !== BYTES_OUTPUT.name);
  if (stranger) throw new PosternError('input_invalid', `There is no output "${clip(stranger.name)}", only "output".`);
}
