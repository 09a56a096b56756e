/* global AbortController, document, localStorage, location, navigator, setInterval, URL, window */
/** The first page: a photo in, five names out. Owner of what is shown; words are in texts.js, the way out in api.js. */
import { imageModels, predict, Problem, workerCount } from './api.js';
import { forgetKey, hasKey, useKey } from './key.js';
import { preparePhoto } from './photo.js';
import { TEXTS } from './texts.js';

const byId = (id) => document.getElementById(id);
const STAGES = ['idle', 'working', 'key', 'problem', 'result'];
const PRESENCE_MS = 10_000;
const LANGUAGE_KEY = 'postern.language';

const state = {
  language: 'en',
  models: [],
  model: null,
  workers: null,
  /** What is shown, so that a change of language can show it again: { stage, ... }. */
  shown: { stage: 'idle' },
  file: null,
  previewUrl: null,
  running: null,
};

/** Text of the model where there is one of its own (`title_plants`), else the general one. */
function text(key) {
  const texts = TEXTS[state.language];
  return texts[`${key}_${state.model}`] ?? texts[key];
}

// ---- language ---------------------------------------------------------------------------------------------------------

function preferredLanguage() {
  try {
    const kept = localStorage.getItem(LANGUAGE_KEY);
    if (kept in TEXTS) return kept;
  } catch {
    // Storage may be forbidden; then the browser's languages decide every time.
  }
  const wanted = navigator.languages ?? [navigator.language];
  return wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in TEXTS) ?? 'en';
}

function setLanguage(language, keep) {
  state.language = language;
  document.documentElement.lang = language;
  if (keep) {
    try {
      localStorage.setItem(LANGUAGE_KEY, language);
    } catch {
      // Only the memory of the choice is lost.
    }
  }
  for (const button of document.querySelectorAll('[data-language]')) {
    button.setAttribute('aria-pressed', String(button.dataset.language === language));
  }
  showWords();
}

function showWords() {
  for (const element of document.querySelectorAll('[data-text]'))
    element.textContent = text(element.dataset.text) ?? '';
  for (const element of document.querySelectorAll('[data-label]'))
    element.setAttribute('aria-label', text(element.dataset.label));
  if (state.file) byId('choose-label').querySelector('span').textContent = text('another');
  byId('caution').hidden = text('caution') === undefined;
  document.title = `${text('title')} · Postern`;
  for (const label of byId('model-choice').querySelectorAll('label')) {
    label.querySelector('span').textContent = modelName(label.dataset.model);
  }
  byId('curl').textContent =
    `curl -F image=@photo.jpg ${location.origin}/v1/models/local/${state.model ?? 'plants'}/predictions -H 'Prefer: wait'${
      hasKey() ? ' -H "Authorization: Bearer $POSTERN_API_KEY"' : ''
    }`;
  showPresence();
  show(state.shown, false);
}

const modelName = (name) => TEXTS[state.language][`model_${name}`] ?? readable(name);

/** `eastern_poison_ivy` → `Eastern poison ivy`: a label as a person would write it. */
function readable(label) {
  const words = label.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

// ---- models and machines ----------------------------------------------------------------------------------------------

async function loadModels() {
  state.models = await imageModels();
  const asked = new URL(location.href).searchParams.get('model');
  const names = state.models.map((model) => model.name).sort();
  state.model = [asked, state.model, 'plants'].find((name) => names.includes(name)) ?? names[0] ?? null;
  const choice = byId('model-choice');
  choice.replaceChildren(...(names.length > 1 ? names.map(modelOption) : []));
  choice.hidden = names.length < 2;
  showWords();
  if (state.model === null) show({ stage: 'problem', title: 'noModelsTitle', message: 'noModelsText' }, false);
}

function modelOption(name) {
  const label = document.createElement('label');
  label.dataset.model = name;
  const input = Object.assign(document.createElement('input'), {
    type: 'radio',
    name: 'model',
    value: name,
    checked: name === state.model,
  });
  input.addEventListener('change', () => {
    state.model = name;
    if (state.file) void run(state.file);
    else show({ stage: 'idle' }, false);
    showWords();
  });
  label.append(input, document.createElement('span'));
  return label;
}

async function lookForWorkers() {
  if (document.hidden) return;
  try {
    state.workers = await workerCount();
    if (state.model === null && state.shown.stage !== 'key') await loadModels();
    if (state.model !== null && state.shown.title === 'noModelsTitle') show({ stage: 'idle' }, false);
  } catch {
    state.workers = null;
  }
  showPresence();
}

function showPresence() {
  byId('forget').hidden = !hasKey();
  const presence = byId('presence');
  presence.hidden = state.workers === null;
  if (state.workers === null) return;
  presence.classList.toggle('away', state.workers === 0);
  byId('presence-text').textContent = state.workers === 0 ? text('away') : text('connected')(state.workers);
}

// ---- one photo --------------------------------------------------------------------------------------------------------

async function run(file) {
  state.running?.abort();
  const control = new AbortController();
  state.running = control;
  state.file = file;
  const mine = () => state.running === control;
  show({ stage: 'working', step: 'preparing', fraction: null }, false);
  byId('choose-label').querySelector('span').textContent = text('another');
  preview(file);
  // On a phone the answer is below the photo, out of sight.
  byId('answer-heading').scrollIntoView({ block: 'nearest' });
  try {
    if (state.model === null) await loadModels();
    if (state.model === null) return;
    const photo = await preparePhoto(file);
    if (!mine()) return;
    if (photo.shrunk) preview(photo.body);
    const prediction = await predict(state.model, photo, {
      signal: control.signal,
      onSent: (fraction) =>
        mine() &&
        show(
          { stage: 'working', step: fraction < 1 ? 'sending' : 'looking', fraction: fraction < 1 ? fraction : null },
          false,
        ),
      onState: (running) =>
        mine() &&
        show({ stage: 'working', step: running.status === 'starting' ? 'waiting' : 'looking', running }, false),
    });
    if (mine()) show({ stage: 'result', prediction }, true);
  } catch (error) {
    if (!mine()) return;
    if (control.signal.aborted) {
      show({ stage: 'idle' }, false);
      announce(text('canceled'));
    } else showError(error, true);
  } finally {
    if (mine()) state.running = null;
  }
}

function preview(blob) {
  const image = byId('preview');
  if (state.previewUrl) URL.revokeObjectURL(state.previewUrl);
  state.previewUrl = URL.createObjectURL(blob);
  image.onload = () => {
    image.hidden = false;
    byId('invite').hidden = true;
    byId('drop').classList.add('filled');
  };
  image.onerror = () => {
    image.hidden = true;
    byId('invite').hidden = false;
    byId('drop').classList.remove('filled');
  };
  image.src = state.previewUrl;
}

// ---- the key ----------------------------------------------------------------------------------------------------------

/** What went wrong; where a key is the remedy, the way to give one. */
function showError(error, focus) {
  const code = error instanceof Problem ? error.code : null;
  const isWrong = code === 'unauthorized';
  if (!isWrong && !(code === 'forbidden' && hasKey())) {
    show({ stage: 'problem', error }, focus);
    return;
  }
  const reason = hasKey() ? (isWrong ? 'keyWrong' : 'keyTooSmall') : null;
  forgetKey();
  show({ stage: 'key', reason }, focus || reason !== null);
  showWords();
}

async function giveKey() {
  const input = byId('key-input');
  if (!useKey(input.value.trim())) {
    show({ stage: 'key', reason: 'keyWrong' }, true);
    return;
  }
  input.value = '';
  try {
    await loadModels();
    // A photo that was chosen before is not to be chosen again.
    if (state.file) await run(state.file);
    else if (state.model !== null) {
      show({ stage: 'idle' }, false);
      byId('choose').focus();
    }
  } catch (error) {
    showError(error, true);
  }
  void lookForWorkers();
}

function endKey() {
  forgetKey();
  // Of a gateway that lets others in as well, the page goes on; of one that does not, the next answer says so.
  location.reload();
}

// ---- what is shown ----------------------------------------------------------------------------------------------------

/** `focus`: the news deserve it (an answer, an error), so that a reader of the screen lands there. */
function show(shown, focus) {
  state.shown = shown;
  for (const stage of STAGES) byId(stage).hidden = stage !== shown.stage;
  if (shown.stage === 'working') showWorking(shown);
  else if (shown.stage === 'key') showKey(shown, focus);
  else if (shown.stage === 'problem') showProblem(shown, focus);
  else if (shown.stage === 'result') showResult(shown.prediction, focus);
}

function showWorking({ step, fraction, running }) {
  const known = running?.progress?.fraction ?? fraction ?? null;
  const bar = byId('bar');
  if (known === null) bar.removeAttribute('value');
  else bar.value = known;
  const stage = text(step);
  if (byId('working-text').textContent !== stage) announce(stage);
  byId('working-text').textContent = stage;
  byId('working-more').textContent = moreOf(running);
}

function moreOf(running) {
  if (!running) return '';
  if (running.status !== 'starting') return running.progress?.message ?? '';
  if (running.queue_position > 0) return text('ahead')(running.queue_position);
  return state.workers === 0 ? text('noWorker') : '';
}

function showKey({ reason }, focus) {
  byId('key-problem').textContent = reason === null ? '' : text(reason);
  byId('key-input').setAttribute('aria-invalid', String(reason !== null));
  if (focus) byId('key-input').focus();
}

function showProblem({ error, title, message }, focus) {
  const unreachable = error instanceof Problem && error.code === 'unreachable' && error.message === '';
  byId('problem-title').textContent = text(title ?? (unreachable ? 'unreachableTitle' : 'failedTitle'));
  byId('problem-text').textContent = message ? text(message) : unreachable ? text('unreachableText') : reasonOf(error);
  byId('again').hidden = state.file === null;
  if (!focus) return;
  byId('problem-title').focus();
  announce(`${byId('problem-title').textContent}. ${byId('problem-text').textContent}`);
}

const reasonOf = (error) =>
  error instanceof Problem
    ? (TEXTS[state.language][`problem_${error.code}`] ?? error.message)
    : String(error.message ?? error);

function showResult({ output, metrics }, focus) {
  const { predictions = [], rejected = false, unsure = false } = output ?? {};
  const [best] = predictions;
  byId('result').classList.toggle('unsure', unsure);
  const title = rejected ? text('rejectedTitle') : unsure || !best ? text('unsureTitle') : readable(best.label);
  byId('result-title').textContent = title;
  byId('result-text').textContent = rejected ? text('rejectedText') : unsure ? text('unsureText') : '';
  const items = predictions.map(scoreItem);
  byId('scores').replaceChildren(...(rejected ? [] : items));
  byId('scores').hidden = rejected;
  byId('guess-scores').replaceChildren(...(rejected ? items : []));
  byId('guesses').hidden = !rejected || items.length === 0;
  showTiming(metrics);
  if (!focus) return;
  byId('result-title').focus();
  announce(rejected || unsure || !best ? `${title}.` : text('done')(readable(best.label), percent(best.score)));
}

function scoreItem({ label, score }) {
  const item = document.createElement('li');
  const name = Object.assign(document.createElement('span'), { className: 'name', textContent: readable(label) });
  const share = Object.assign(document.createElement('span'), { className: 'percent', textContent: percent(score) });
  const track = Object.assign(document.createElement('span'), { className: 'track', ariaHidden: 'true' });
  const fill = document.createElement('i');
  fill.style.setProperty('--score', String(Math.min(1, Math.max(0, score))));
  track.append(fill);
  item.append(name, share, track);
  return item;
}

/** A score that would be rounded to nothing is shown as less than the least that is shown. */
const LEAST = 0.001;

function percent(score) {
  const maximumFractionDigits = score < 0.1 ? 1 : 0;
  const format = new Intl.NumberFormat(state.language, { style: 'percent', maximumFractionDigits });
  return score < LEAST ? `< ${format.format(LEAST)}` : format.format(score);
}

function milliseconds(ms) {
  const [value, unit] = ms < 1000 ? [ms, 'millisecond'] : [ms / 1000, 'second'];
  const maximumFractionDigits = value < 10 ? 1 : 0;
  return new Intl.NumberFormat(state.language, {
    style: 'unit',
    unit,
    unitDisplay: 'short',
    maximumFractionDigits,
  }).format(value);
}

function showTiming(metrics = {}) {
  const parts = [
    ['partQueue', metrics.queue_ms + metrics.worker_queue_ms],
    ['partLink', metrics.link_ms],
    ['partDecode', metrics.decode_ms],
    ['partBatch', metrics.batch_ms],
    ['partCompute', metrics.compute_ms],
  ].filter(([, ms]) => Number.isFinite(ms));
  byId('timing').hidden = !Number.isFinite(metrics.total_time);
  byId('timing-total').textContent = text('took')(milliseconds(metrics.total_time * 1000));
  byId('timing-parts').replaceChildren(
    ...parts.flatMap(([key, ms]) => [
      Object.assign(document.createElement('dt'), { textContent: text(key) }),
      Object.assign(document.createElement('dd'), { textContent: milliseconds(ms) }),
    ]),
  );
}

function announce(words) {
  byId('live').textContent = words;
}

// ---- ways to give a photo ---------------------------------------------------------------------------------------------

function pick(files) {
  const list = [...(files ?? [])];
  const file = list.find((candidate) => candidate.type.startsWith('image/')) ?? list[0];
  if (file) void run(file);
}

function listen() {
  for (const id of ['choose', 'camera']) {
    byId(id).addEventListener('change', (event) => {
      pick(event.target.files);
      // The same photo chosen twice in a row is a change too.
      event.target.value = '';
    });
  }
  const drop = byId('drop');
  window.addEventListener('dragover', (event) => {
    event.preventDefault();
    drop.classList.add('over');
  });
  window.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) drop.classList.remove('over');
  });
  window.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    pick(event.dataTransfer?.files);
  });
  window.addEventListener('paste', (event) => pick(event.clipboardData?.files));
  byId('cancel').addEventListener('click', () => state.running?.abort());
  byId('again').addEventListener('click', () => state.file && void run(state.file));
  byId('key').addEventListener('submit', (event) => {
    event.preventDefault();
    void giveKey();
  });
  byId('forget').addEventListener('click', endKey);
  for (const button of document.querySelectorAll('[data-language]')) {
    button.addEventListener('click', () => setLanguage(button.dataset.language, true));
  }
  document.addEventListener('visibilitychange', () => void lookForWorkers());
}

setLanguage(preferredLanguage(), false);
listen();
setInterval(() => void lookForWorkers(), PRESENCE_MS);
loadModels()
  .catch((error) => showError(error, false))
  .finally(() => void lookForWorkers());
