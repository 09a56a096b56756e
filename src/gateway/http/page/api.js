/* global AbortController, fetch, setTimeout, XMLHttpRequest */
/** The page's way to the gateway: the same public API that everybody has. */
import { authorization } from './key.js';

/** A problem+json, or a failed prediction, as an error. `code` is one of the table in /docs/errors. */
export class Problem extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const DECIDED = new Set(['succeeded', 'failed', 'canceled', 'aborted']);
/** Short first, so that a place in the queue shows soon; then long, so that a wait costs few requests. */
const POLLS_S = [2, 5, 10, 20];

async function readJson(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(body.code ?? 'unreachable', body.detail ?? response.statusText);
  return body;
}

async function get(path, signal) {
  let response;
  try {
    response = await fetch(path, { signal, headers: { accept: 'application/json', ...authorization() } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem('unreachable', '');
  }
  return readJson(response);
}

/** Models for photos. */
export async function imageModels() {
  const { results } = await get('/v1/models');
  return results.filter((model) => model.kind === 'image-classification');
}

export async function workerCount() {
  return (await get('/readyz')).workers;
}

/**
 * Sends the photo. XMLHttpRequest and not fetch, because only it tells how much has been sent. Resolves with the prediction,
 * decided or not.
 */
function send(model, { body, type }, { signal, onSent }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener('abort', abort, { once: true });
    request.open('POST', `/v1/models/local/${encodeURIComponent(model)}/predictions`);
    request.setRequestHeader('content-type', type);
    request.setRequestHeader('prefer', 'wait=1');
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.responseType = 'json';
    request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    request.upload.onload = () => onSent(1);
    request.onerror = () => reject(new Problem('unreachable', ''));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => {
      signal.removeEventListener('abort', abort);
      const answer = request.response;
      if (request.status >= 200 && request.status < 300 && answer) resolve(answer);
      else if (request.status > 0) reject(new Problem(answer?.code ?? 'unreachable', answer?.detail ?? ''));
    };
    request.send(body);
  });
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, ms);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** How often a lost connection is tried again while the photo is already with the gateway: 1 + 2 + 4 + 8 + 16 s. */
const MAX_LOST = 5;

/**
 * From photo to answer. `onSent(fraction)` while it is sent, `onState(prediction)` whenever more is known. Rejects with a
 * Problem, or with the signal's reason; then the job is canceled.
 */
export async function predict(model, photo, { signal, onSent, onState }) {
  let prediction = await send(model, photo, { signal, onSent });
  try {
    for (let poll = 0, lost = 0; !DECIDED.has(prediction.status); poll += 1) {
      onState(prediction);
      const wait = POLLS_S[Math.min(poll, POLLS_S.length - 1)];
      try {
        prediction = await get(`/v1/predictions/${prediction.id}?wait=${wait}`, signal);
        lost = 0;
      } catch (error) {
        // The job is recorded: a network that comes back finds it again.
        if (!(error instanceof Problem) || error.code !== 'unreachable' || lost === MAX_LOST) throw error;
        await pause(1000 * 2 ** lost, signal);
        lost += 1;
      }
    }
  } catch (error) {
    if (signal.aborted) cancel(prediction.id);
    throw error;
  }
  if (prediction.status === 'succeeded') return prediction;
  throw new Problem(prediction.error_code ?? prediction.status, prediction.error ?? prediction.status);
}

function cancel(id) {
  const control = new AbortController();
  setTimeout(() => control.abort(), 5000);
  // Whoever cancels does not wait for the answer; a job that is not taken back just runs to its end.
  fetch(`/v1/predictions/${id}/cancel`, {
    method: 'POST',
    headers: authorization(),
    signal: control.signal,
    keepalive: true,
  }).catch(() => undefined);
}
