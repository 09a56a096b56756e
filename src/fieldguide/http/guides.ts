/** `/api/guides`: guides, their entries page by page, search, and single entries. All of it is in memory and public. */
import { PosternError } from '../../errors.ts';
import type { Answer, Call, Route } from '../../gateway/http/route.ts';
import { LANGUAGES, type Guide } from '../guide/guide.ts';
import type { Entry } from '../guide/format.ts';
import { cached, get, guideFinder } from './answers.ts';
import { entryCursor } from './cursor.ts';
import { bad, choiceOf, limitOf, refuseOthers, single } from './parameters.ts';
import { summaryOf } from './render.ts';

const DEFAULT_LIMIT = 30;
const MAX_LIMIT = 100;
/** Longer than the longest name. The search itself cuts at the same length. */
const MAX_QUERY_CHARACTERS = 100;
/** Guides change with a release; a page that is a minute old is as good. */
const MAX_AGE_S = 60;

export function guideRoutes(guides: ReadonlyMap<string, Guide>): Route[] {
  const summaries = new WeakMap<Entry, object>();
  const summary =
    (guide: Guide) =>
    (entry: Entry): object => {
      let made = summaries.get(entry);
      if (made === undefined) summaries.set(entry, (made = summaryOf(entry, guide)));
      return made;
    };
  const guideOf = guideFinder(guides);

  const entries = async (call: Call): Promise<Answer> => {
    const guide = guideOf(call);
    const query = parseQuery(call, guide);
    const page = query.text === null ? guide.list(query.language, query) : await guide.search(query.text, query);
    const next = page.next === null ? null : entryCursor.write([page.next.id, page.next.score]);
    return cached(call, { items: page.entries.map(summary(guide)), next }, MAX_AGE_S);
  };

  const entry = (call: Call): Answer => {
    const guide = guideOf(call);
    const found = guide.get(call.params.entry ?? '');
    if (!found) throw new PosternError('entry_not_found', `The guide ${guide.id} has no such entry.`);
    const value = {
      ...found,
      scientific_name: found.scientific_name ?? null,
      drawing: guide.drawings[found.id] ?? null,
      similar: guide.similar(found).map(summary(guide)),
    };
    return cached(call, value, MAX_AGE_S);
  };

  return [
    get('/api/guides', (call) => cached(call, { items: [...guides.values()].map(overviewOf) }, MAX_AGE_S)),
    get('/api/guides/:guide', (call) => cached(call, detailsOf(guideOf(call)), MAX_AGE_S)),
    get('/api/guides/:guide/entries', entries),
    get('/api/guides/:guide/entries/:entry', entry),
  ];
}

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
  refuseOthers(query, 'q', 'cursor', 'limit', 'level', 'family', 'lang');
  const text = single(query, 'q')?.trim() ?? '';
  if (text.length > MAX_QUERY_CHARACTERS) throw bad(`q: at most ${MAX_QUERY_CHARACTERS} characters`);
  const level = single(query, 'level');
  if (level !== undefined && !guide.levels.some(({ id }) => id === level)) {
    throw bad(`level: expected one of ${guide.levels.map(({ id }) => id).join(', ')}`);
  }
  const cursor = single(query, 'cursor');
  const [id, score] = cursor === undefined ? [null, null] : entryCursor.read(cursor);
  return {
    text: text === '' ? null : text,
    language: choiceOf(query, 'lang', LANGUAGES, 'en'),
    limit: limitOf(query, DEFAULT_LIMIT, MAX_LIMIT),
    after: id === null ? null : { id, score },
    level,
    family: single(query, 'family'),
  };
}
