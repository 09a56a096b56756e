/** `/api/guides`: guides, their entries page by page, search, and single entries. All of it is in memory and public. */
import { createHash } from 'node:crypto';
import { PosternError } from '../../errors.ts';
import type { Answer, Call, Route } from '../../gateway/http/route.ts';
import { LANGUAGES, type Guide, type Language } from '../guide/guide.ts';
import type { Entry } from '../guide/format.ts';
import { readCursor, writeCursor } from './cursor.ts';

const DEFAULT_LIMIT = 30;
const MAX_LIMIT = 100;
/** Longer than the longest name. The search itself cuts at the same length. */
const MAX_QUERY_CHARACTERS = 100;
/** Guides change with a release; a page that is a minute old is as good. */
const CACHE = ['content-type', 'application/json; charset=utf-8', 'cache-control', 'public, max-age=60'];

export function guideRoutes(guides: ReadonlyMap<string, Guide>): Route[] {
  const summaries = new WeakMap<Entry, object>();
  const summary =
    (guide: Guide) =>
    (entry: Entry): object => {
      let made = summaries.get(entry);
      if (made === undefined) summaries.set(entry, (made = summaryOf(entry, guide)));
      return made;
    };
  const guideOf = ({ params }: Call): Guide => {
    const guide = guides.get(params.guide ?? '');
    if (guide) return guide;
    throw new PosternError(
      'guide_not_found',
      `There is no such guide here; there are: ${[...guides.keys()].join(', ')}.`,
    );
  };

  const entries = (call: Call): Answer => {
    const guide = guideOf(call);
    const query = parseQuery(call, guide);
    const page = query.text === null ? guide.list(query.language, query) : guide.search(query.text, query);
    const next = page.next === null ? null : writeCursor(page.next);
    return tagged(call, { items: page.entries.map(summary(guide)), next });
  };

  const entry = (call: Call): Answer => {
    const guide = guideOf(call);
    const found = guide.get(call.params.entry ?? '');
    if (!found) throw new PosternError('entry_not_found', `The guide ${guide.id} has no such entry.`);
    return tagged(call, {
      ...found,
      scientific_name: found.scientific_name ?? null,
      drawing: guide.drawings[found.id] ?? null,
      similar: guide.similar(found).map(summary(guide)),
    });
  };

  return [
    get('/api/guides', (call) => tagged(call, { items: [...guides.values()].map(overviewOf) })),
    get('/api/guides/:guide', (call) => tagged(call, detailsOf(guideOf(call)))),
    get('/api/guides/:guide/entries', entries),
    get('/api/guides/:guide/entries/:entry', entry),
  ];
}

const get = (path: string, handle: (call: Call) => Answer): Route => ({ method: 'GET', path, scope: 'public', handle });

function tagged({ request }: Call, value: object): Answer {
  const body = JSON.stringify(value);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const headers = [...CACHE, 'etag', etag];
  return request.headers['if-none-match'] === etag
    ? { status: 304, headers, body: '' }
    : { status: 200, headers, body };
}

/** What lists show of an entry. */
const summaryOf = ({ id, names, scientific_name, family, danger }: Entry, { drawings }: Guide): object => ({
  id,
  names,
  scientific_name: scientific_name ?? null,
  family,
  danger: danger === null ? null : { level: danger.level, dangerous: danger.dangerous },
  drawing: drawings[id] ?? null,
});

const overviewOf = (guide: Guide): object => ({
  id: guide.id,
  model: guide.model,
  entries: guide.size,
  title: { en: guide.texts.en.title ?? guide.id, ko: guide.texts.ko.title ?? guide.id },
});

const detailsOf = (guide: Guide): object => ({
  ...overviewOf(guide),
  texts: guide.texts,
  levels: guide.levels,
  families: guide.families,
  verdict_groups: guide.verdictGroups,
  outcomes: guide.outcomes,
  tables: guide.tables,
});

function parseQuery({ query }: Call, guide: Guide) {
  const { q, cursor, limit, level, family, lang, ...others } = query;
  for (const name of Object.keys(others)) throw bad(`${name.slice(0, 60)}: there is no such parameter`);
  const text = single('q', q)?.trim() ?? '';
  if (text.length > MAX_QUERY_CHARACTERS) throw bad(`q: at most ${MAX_QUERY_CHARACTERS} characters`);
  const language = single('lang', lang) ?? 'en';
  if (!isLanguage(language)) throw bad(`lang: expected one of ${LANGUAGES.join(', ')}`);
  const ofLevel = single('level', level);
  if (ofLevel !== undefined && !guide.levels.some(({ id }) => id === ofLevel)) {
    throw bad(`level: expected one of ${guide.levels.map(({ id }) => id).join(', ')}`);
  }
  const after = single('cursor', cursor);
  return {
    text: text === '' ? null : text,
    language,
    limit: parseLimit(single('limit', limit)),
    after: after === undefined ? null : readCursor(after),
    level: ofLevel,
    family: single('family', family),
  };
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) throw bad(`limit: expected a whole number from 1 to ${MAX_LIMIT}`);
  return limit;
}

function single(name: string, value: string | string[] | undefined): string | undefined {
  if (Array.isArray(value)) throw bad(`${name}: given twice`);
  return value;
}

const isLanguage = (text: string): text is Language => (LANGUAGES as readonly string[]).includes(text);
const bad = (message: string): PosternError => new PosternError('bad_parameter', message);
