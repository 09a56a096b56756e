/**
 * `/openai/v1/…` for the clients of OpenAI: each request goes to the service that names the model of its body. Nothing of it
 * is changed; errors that are the gateway's own have OpenAI's form.
 */
import { PosternError } from '../../../errors.ts';
import type { Clock } from '../../../clock.ts';
import type { Services } from '../../ports.ts';
import { checkModelAccess, mayUseModel } from '../access.ts';
import { hasBody, readBody } from '../body.ts';
import type { BodyBudget } from '../budget.ts';
import type { Forwarder } from '../forward.ts';
import { mediaType } from '../media-type.ts';
import { clip } from '../parameters.ts';
import { json, type Answer, type Call, type Route, type StreamAnswer } from '../route.ts';
import { passThrough } from './pass.ts';
import { refuseUpgrade, servicePath } from './routes.ts';

export interface OpenAiRoutesOptions {
  readonly services: Services;
  readonly forwarder: Forwarder;
  readonly budget: BodyBudget;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
}

const NO_BYTES = new Uint8Array(0);
const MAX_MODEL_CHARS = 200;

export function openAiRoutes({ services, forwarder, budget, clock, maxBodyBytes }: OpenAiRoutesOptions): Route[] {
  const startedS = Math.floor(clock.now() / 1_000);

  function models({ access }: Call): { id: string; service: string; ready: boolean }[] {
    return services
      .openAi()
      .filter(({ service }) => mayUseModel(access, service))
      .flatMap(({ service, models: names, ready }) => names.map((id) => ({ id, service, ready })));
  }

  function modelObject({ id, service }: { id: string; service: string }): object {
    return { id, object: 'model', created: startedS, owned_by: service };
  }

  function list(call: Call): Answer {
    const ids = new Map(models(call).map((model) => [model.id, model]));
    return json(200, JSON.stringify({ object: 'list', data: [...ids.values()].map(modelObject) }));
  }

  function one(call: Call): Answer {
    const id = call.params['*'] ?? '';
    const found = models(call).find((model) => model.id === id);
    if (found) return json(200, JSON.stringify(modelObject(found)));
    throw unknownModel(id);
  }

  /** The service that has the model; one that is ready before one that is not. */
  function serviceOf(call: Call, model: string | null): string {
    const known = models(call);
    if (model === null) {
      const names = new Set(known.map(({ service }) => service));
      const [only] = names;
      if (names.size === 1 && only !== undefined) return only;
      throw new PosternError(
        'bad_parameter',
        'The request names no model in "model" of its body, so it is not known which service it is for.',
      );
    }
    const able = known.filter(({ id }) => id === model);
    const found = able.find(({ ready }) => ready) ?? able[0];
    if (!found) throw unknownModel(model);
    checkModelAccess(call.access, found.service);
    return found.service;
  }

  async function pass(call: Call): Promise<Answer | StreamAnswer> {
    refuseUpgrade(call);
    const path = servicePath(call, '/openai');
    const share = budget.open();
    try {
      const body = hasBody(call.request) ? await readBody(call.request, { maxBytes: maxBodyBytes, share }) : NO_BYTES;
      const model = modelOf(body, call);
      return await passThrough(call, { services, forwarder }, { service: serviceOf(call, model), path, body });
    } finally {
      share.release();
    }
  }

  return [
    { method: 'GET', path: '/openai/v1/models', scope: 'predict', handle: list },
    { method: 'GET', path: '/openai/v1/models/*', scope: 'predict', handle: one },
    { method: 'ANY', path: '/openai/v1/*', scope: 'predict', handle: pass },
  ];
}

function unknownModel(model: string): PosternError {
  const hint = 'GET /openai/v1/models lists what there is.';
  return new PosternError('model_not_found', `There is no model "${clip(model)}" here. ${hint}`);
}

/** What the body says in `model`; null: nothing. Throws bad_json, bad_parameter. */
function modelOf(body: Uint8Array, { request }: Call): string | null {
  if (body.byteLength === 0) return null;
  const type = mediaType(request.headers['content-type']);
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (type === 'multipart/form-data') return modelOfForm(text);
  let value: unknown;
  try {
    value = JSON.parse(text.toString('utf8'));
  } catch {
    throw new PosternError('bad_json', 'The body cannot be parsed as JSON.');
  }
  if (typeof value !== 'object' || value === null || !('model' in value)) return null;
  if (typeof value.model === 'string' && value.model.length <= MAX_MODEL_CHARS) return value.model;
  throw new PosternError('bad_parameter', `"model" must be a text of at most ${MAX_MODEL_CHARS} characters.`);
}

const FIELD = 'name="model"';

/** Of a form (transcriptions, images), whose field is read where it stands: the form itself goes on as it came. */
function modelOfForm(form: Buffer): string | null {
  const at = form.indexOf(FIELD);
  if (at === -1) return null;
  const start = form.indexOf('\r\n\r\n', at);
  const end = start === -1 ? -1 : form.indexOf('\r\n', start + 4);
  if (end === -1 || end - start - 4 > MAX_MODEL_CHARS) return null;
  return form.toString('utf8', start + 4, end);
}
