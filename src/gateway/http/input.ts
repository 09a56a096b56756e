/** What a caller asks for, out of the three kinds of body: JSON, a form, or the bytes themselves. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { PosternError } from '../../errors.ts';
import type { Json, Payload } from '../../dispatch/job.ts';
import type { WebhookEvent } from '../../dispatch/webhook.ts';
import { admit, hasBody, readBody, refuseEncoding, type BodyLimits } from './body.ts';
import { readDataUrl } from './data-url.ts';
import type { InputAddress } from './input-url.ts';
import { MEDIA_TYPE, mediaType } from './media-type.ts';
import { FILE_FIELDS, PREDICTION_FORM, readMultipart } from './multipart.ts';
import {
  badParameter,
  checkVersion,
  clip,
  ParameterSet,
  parseDeadline,
  parseJsonSafely,
  parseModelReference,
  parsePriority,
  readScalar,
  type ModelReference,
} from './parameters.ts';
import { parseWebhookEvents, parseWebhookUrl, webhookRequest, type WebhookRequest } from './webhook-fields.ts';

/** A prediction as its body describes it; headers and path are added by the route. */
export interface PredictionBody {
  readonly model: string | null;
  readonly version: string | null;
  readonly input: Payload | InputAddress;
  readonly parameters: Readonly<Record<string, Json>>;
  /** Epoch ms. */
  readonly deadlineAt: number | null;
  readonly priority: number;
  readonly webhook: WebhookRequest | null;
}

export interface BodySource {
  readonly request: IncomingMessage;
  /** A raw body has no other place for parameters. */
  readonly query: Readonly<Record<string, string | string[] | undefined>>;
  readonly limits: BodyLimits;
  readonly nowMs: number;
}

const RAW = /^(?:image\/[a-z0-9][a-z0-9.+-]{0,100}|application\/octet-stream|application\/vnd\.postern\.tensors)$/;

/** Reads and parses the body. Its type and announced length are checked before the first byte is read. */
export async function readPrediction(source: BodySource): Promise<PredictionBody> {
  const { request, limits } = source;
  const type = mediaType(request.headers['content-type']);
  refuseEncoding(request);
  if (!hasBody(request)) {
    throw RAW.test(type)
      ? new PosternError('empty_input', 'The body has zero bytes; expected the input.')
      : new PosternError(
          'missing_input',
          'The request has no body; expected the input as JSON, as a form, or as the bytes themselves.',
        );
  }
  if (RAW.test(type)) {
    admit(request, limits);
    return rawPrediction(source, type, await readBody(request, limits));
  }
  if (type === 'application/json') {
    admit(request, limits);
    return jsonPrediction(source, await readBody(request, limits));
  }
  if (type === 'multipart/form-data') {
    admit(request, limits);
    return formPrediction(source);
  }
  const got = type === '' ? 'no Content-Type' : `Content-Type "${clip(type)}"`;
  const message = `Got ${got}; expected application/json, multipart/form-data, image/* or application/octet-stream.`;
  throw new PosternError('unsupported_media_type', message);
}

/** Model, version, deadline and priority, which may stand beside the input. */
class Envelope {
  model: string | null = null;
  version: string | null = null;
  deadlineAt: number | null = null;
  priority = 0;
  #webhook: string | null = null;
  #webhookEvents: readonly WebhookEvent[] | null = null;
  readonly #nowMs: number;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  /** False: not one of these names. */
  set(name: string, value: unknown): boolean {
    switch (name) {
      case 'model':
        this.#refer(parseModelReference(textOf(name, value)));
        return true;
      case 'version':
        this.#setVersion(textOf(name, value));
        return true;
      case 'deadline':
        this.deadlineAt = parseDeadline(value, this.#nowMs);
        return true;
      case 'priority':
        this.priority = parsePriority(value);
        return true;
      case 'webhook':
        this.#webhook = parseWebhookUrl(value);
        return true;
      case 'webhook_events_filter':
        this.#webhookEvents = parseWebhookEvents(value);
        return true;
      case 'stream':
        return true;
      default:
        return false;
    }
  }

  #refer({ model, version }: ModelReference): void {
    if (this.model !== null && this.model !== model) throw badParameter('"model" and "version" name different models.');
    this.model = model;
    if (version !== null) this.version = version;
  }

  /** Replicate's `version` names the model as well: `owner/name`, `owner/name:version`. Beside `model` it may be bare. */
  #setVersion(text: string): void {
    if (/[/:@]/.test(text)) this.#refer(parseModelReference(text));
    else this.version = checkVersion(text);
  }

  with(input: Payload | InputAddress, parameters: Readonly<Record<string, Json>>): PredictionBody {
    const { model, version, deadlineAt, priority } = this;
    const webhook = webhookRequest(this.#webhook, this.#webhookEvents);
    return { model, version, input, parameters, deadlineAt, priority, webhook };
  }
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw badParameter(`"${name}" must be a text.`);
}

const NO_PARAMETERS: Readonly<Record<string, Json>> = Object.freeze({});

function rawPrediction({ query, nowMs }: BodySource, contentType: string, bytes: Buffer): PredictionBody {
  if (bytes.length === 0) throw new PosternError('empty_input', 'The body has zero bytes; expected the input.');
  const input = { contentType, bytes };
  let parameters: ParameterSet | null = null;
  const envelope = new Envelope(nowMs);
  for (const name in query) {
    const value = query[name];
    if (typeof value !== 'string') throw badParameter(`The query parameter "${clip(name)}" is given twice.`);
    if (!envelope.set(name, value)) (parameters ??= new ParameterSet()).add(name, readScalar(value));
  }
  return envelope.with(input, parameters === null ? NO_PARAMETERS : parameters.values);
}

function jsonPrediction({ nowMs }: BodySource, bytes: Buffer): PredictionBody {
  const body = parseJsonSafely(utf8(bytes), 'bad_json');
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new PosternError(
      'bad_request',
      'Expected a JSON object such as {"input": {"image": "data:image/jpeg;base64,..."}}.',
    );
  }
  const envelope = new Envelope(nowMs);
  let input: Json | undefined;
  for (const [name, value] of Object.entries(body as Record<string, Json>)) {
    if (name === 'input') input = value;
    else if (!envelope.set(name, value)) {
      throw badParameter(`Unknown key "${clip(name)}" beside "input". The model's parameters go inside "input".`);
    }
  }
  if (input === undefined || input === null) {
    throw new PosternError('missing_input', 'The JSON has no "input"; expected {"input": {...}}.');
  }
  const { payload, parameters } = splitInput(input);
  return envelope.with(payload, parameters);
}

/** An input with a URL in it is the bytes behind it and parameters; any other input goes to the model as the JSON it is. */
function splitInput(input: Json): { payload: Payload | InputAddress; parameters: Readonly<Record<string, Json>> } {
  const whole = fileOf('input', input);
  if (whole !== null) return { payload: whole, parameters: NO_PARAMETERS };
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) {
    const object = input as Readonly<Record<string, Json>>;
    for (const field of FILE_FIELDS) {
      const payload = Object.hasOwn(object, field) ? fileOf(field, object[field]) : null;
      if (payload === null) continue;
      const parameters = new ParameterSet();
      for (const [name, value] of Object.entries(object)) if (name !== field) parameters.add(name, value);
      return { payload, parameters: parameters.values };
    }
  }
  return {
    payload: { contentType: 'application/json', bytes: Buffer.from(JSON.stringify(input)) },
    parameters: NO_PARAMETERS,
  };
}

/** The bytes behind a data URL, or where they are; null when the value is no URL at all. */
function fileOf(field: string, value: Json | undefined): Payload | InputAddress | null {
  if (typeof value !== 'string') return null;
  if (/^https?:\/\//i.test(value)) return { field, url: value };
  return /^data:/i.test(value) ? readDataUrl(field, value) : null;
}

async function formPrediction({ request, limits, nowMs }: BodySource): Promise<PredictionBody> {
  const form = await readMultipart(request, limits, PREDICTION_FORM);
  const [file] = form.files;
  const envelope = new Envelope(nowMs);
  const parameters = new ParameterSet();
  let input: Payload | InputAddress | null =
    file === undefined ? null : { contentType: partType(file.contentType), bytes: file.bytes };
  for (const [name, value] of form.fields) {
    if (envelope.set(name, value)) continue;
    const inField = FILE_FIELDS.has(name) ? (fileOf(name, value) ?? jsonField(name, value)) : null;
    if (inField === null) parameters.add(name, readScalar(value));
    else if (input === null) input = inField;
    else throw badParameter(`The form carries two inputs; "${clip(name)}" is the second.`);
  }
  if (input === null) {
    throw new PosternError(
      'missing_input',
      'The form has no file; expected one in the field "image", "file" or "input".',
    );
  }
  if ('bytes' in input && input.bytes.length === 0)
    throw new PosternError('empty_input', 'The file in the form has zero bytes.');
  return envelope.with(input, parameters.values);
}

/** `-F 'input={"x":1}'`: an input as JSON. Under a file's name nothing else can be meant, so a bare text is refused. */
function jsonField(name: string, value: string): Payload {
  if (value === '') throw new PosternError('empty_input', `The field "${name}" is empty; expected a file.`);
  const scalar = readScalar(value);
  if (typeof scalar === 'string') {
    throw new PosternError(
      'missing_input',
      `The field "${name}" is a text; expected a file (with curl: -F ${name}=@photo.jpg).`,
    );
  }
  return { contentType: 'application/json', bytes: Buffer.from(JSON.stringify(scalar)) };
}

/** What the part says of itself, when that is a media type. The worker looks at the bytes, not at this. */
function partType(contentType: string): string {
  const type = mediaType(contentType);
  return MEDIA_TYPE.test(type) ? type : 'application/octet-stream';
}

function utf8(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  throw new PosternError('bad_json', 'Expected JSON in UTF-8, but the bytes are not UTF-8.');
}
