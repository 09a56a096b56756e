/** One guide in memory: its entries by id, in order, and by whatever somebody types. It never changes. */
import type { Hit } from '../search/scores.ts';
import { openSearch } from '../search/open-search.ts';
import type { DrawingsFile, EntriesFile, Entry, GuideFile, SourcesFile } from './format.ts';

export const LANGUAGES = ['en', 'ko'] as const;
export type Language = (typeof LANGUAGES)[number];

export interface Filter {
  readonly level?: string | undefined;
  readonly family?: string | undefined;
}

export interface PageRequest extends Filter {
  readonly limit: number;
  /** Of the page before. */
  readonly after: Position | null;
}

/** Where a page ended: the entry, and its score where the order is that of a search. */
export interface Position {
  readonly id: string;
  readonly score: number | null;
}

export interface Page {
  readonly entries: readonly Entry[];
  readonly next: Position | null;
}

export interface Guide extends Pick<GuideFile, 'id' | 'model' | 'levels' | 'texts'> {
  readonly verdictGroups: GuideFile['verdict_groups'];
  readonly outcomes: EntriesFile['outcomes'];
  readonly tables: SourcesFile['tables'];
  /** How entries are drawn, by id. */
  readonly drawings: DrawingsFile;
  readonly dangerousFrom: number;
  /** null: as the photos say, each for itself. */
  readonly unsureBelow: number | null;
  /** Listed entries. */
  readonly size: number;
  /** Families of the listed entries with how many each has, by their Latin names. */
  readonly families: readonly { readonly la: string; readonly ko: string; readonly entries: number }[];
  /** The entry itself, or the listed one that has it as a member. */
  get(id: string): Entry | null;
  /** Entries that are easily taken for this one; only listed ones, each once. */
  similar(entry: Entry): readonly Entry[];
  /** By the first name in that language. */
  list(language: Language, request: PageRequest): Page;
  /** By how well the names fit. */
  search(query: string, request: PageRequest): Promise<Page>;
}

/** What a guide may bring beside its entries. */
export interface Extras {
  readonly tables: SourcesFile['tables'];
  readonly drawings: DrawingsFile;
}

export function createGuide(file: GuideFile, { entries, outcomes }: EntriesFile, { tables, drawings }: Extras): Guide {
  const hidden = new Set(file.hidden);
  const listed = entries.filter(({ id }) => !hidden.has(id));
  const byId = new Map(listed.map((entry) => [entry.id, entry]));
  const owners = new Map(listed.flatMap((entry) => entry.members.map((member) => [member, entry] as const)));
  const all = new Map(entries.map((entry) => [entry.id, entry]));
  const get = (id: string): Entry | null => byId.get(id) ?? owners.get(id) ?? null;

  // Of a large guide it is made beside everything else: whoever searches before waits for it.
  const opening = openSearch(
    listed.map((entry) => ({
      names: [entry, ...entry.members.flatMap((id) => all.get(id) ?? [])].flatMap(namesOf),
    })),
  );
  // Told to those who search.
  opening.catch(() => undefined);
  const indexOf = new Map(listed.map(({ id }, index) => [id, index]));
  const orders = { en: createOrder(listed, 'en'), ko: createOrder(listed, 'ko') };

  return {
    id: file.id,
    model: file.model,
    levels: file.levels,
    texts: file.texts,
    verdictGroups: file.verdict_groups,
    outcomes,
    tables,
    drawings,
    dangerousFrom: file.verdict.dangerous_from,
    unsureBelow: file.verdict.unsure_below ?? null,
    size: listed.length,
    families: familiesOf(listed),
    get,
    similar: (entry) =>
      [...new Set(entry.lookalikes.flatMap((id) => get(id) ?? []))].filter((other) => other !== entry),
    list: (language, request) => orders[language](request),
    async search(query, { limit, after, ...filter }) {
      const search = await opening;
      const from = after === null ? null : hitOf(after, indexOf);
      // One more than asked for tells whether there is a next page.
      const hits = search.find(query, limit + 1, from, (index) => passes(listed[index]!, filter));
      const page = hits.slice(0, limit);
      const last = page[page.length - 1];
      const next = hits.length > limit && last ? { id: listed[last.entry]!.id, score: last.score } : null;
      return { entries: page.map(({ entry }) => listed[entry]!), next };
    },
  };
}

/** Pages of entries in the order of their first names in one language. */
function createOrder(entries: readonly Entry[], language: Language): (request: PageRequest) => Page {
  const { compare } = new Intl.Collator(language);
  const name = (entry: Entry): string => entry.names[language][0] ?? entry.id;
  const sorted = [...entries].sort((a, b) => compare(name(a), name(b)) || compare(a.id, b.id));
  const places = new Map(sorted.map(({ id }, place) => [id, place]));

  return ({ limit, after, ...filter }) => {
    const page: Entry[] = [];
    for (let place = after === null ? 0 : (places.get(after.id) ?? -1) + 1; place < sorted.length; place += 1) {
      const entry = sorted[place]!;
      if (!passes(entry, filter)) continue;
      if (page.length === limit) return { entries: page, next: { id: page[limit - 1]!.id, score: null } };
      page.push(entry);
    }
    return { entries: page, next: null };
  };
}

const passes = ({ danger, family }: Entry, filter: Filter): boolean =>
  (filter.level === undefined || danger?.level === filter.level) &&
  (filter.family === undefined || family?.la === filter.family);

function hitOf({ id, score }: Position, indexOf: ReadonlyMap<string, number>): Hit | null {
  const entry = indexOf.get(id);
  return entry === undefined || score === null ? null : { entry, score };
}

const namesOf = ({ names, scientific_name: scientific, synonyms }: Entry): string[] => [
  ...names.ko,
  ...names.en,
  ...(scientific === undefined ? [] : [scientific]),
  ...synonyms,
];

function familiesOf(entries: readonly Entry[]): Guide['families'] {
  const counts = new Map<string, { la: string; ko: string; entries: number }>();
  for (const { family } of entries) {
    if (family === null) continue;
    const count = counts.get(family.la);
    if (count) count.entries += 1;
    else counts.set(family.la, { ...family, entries: 1 });
  }
  return [...counts.values()].sort((a, b) => (a.la < b.la ? -1 : 1));
}
