/**
 * A guide is a folder: `guide.json` (which model, which words) and the entries that it names. Data, not code; the author's
 * view of every key is `docs/guides.md`. Parsed once; every problem is reported at once.
 */
import { z } from 'zod';

/** More than any flora has; what is in memory for each entry is a few kilobytes. */
export const MAX_ENTRIES = 100_000;
export const MAX_GUIDE_BYTES = 256 * 1024 * 1024;

export const guideId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected lower case letters, digits and hyphens');
const entryId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected letters, digits, dots, _ and -');
const text = z.string().max(10_000);
const both = z.object({ en: text, ko: text });
const fileName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/, 'expected a file of this folder');

export const guideFile = z.object({
  id: guideId,
  /** The model whose labels the entries' ids are. */
  model: z.string().min(1).max(64),
  entries: fileName,
  sources: fileName.optional(),
  drawings: fileName.optional(),
  /** Entries that no label of the model stands for: not listed, and found through the entry that has them as members. */
  hidden: z.array(entryId).max(MAX_ENTRIES).default([]),
  levels: z
    .array(
      z.object({
        id: z.string().min(1).max(64),
        dangerous: z.boolean(),
        /** How it is shown; by `dangerous` where it is not said. */
        sign: z.enum(['skull', 'warning', 'mouth', 'hand', 'leaf', 'question']).optional(),
        label: both,
        meaning: both,
      }),
    )
    .max(32)
    .default([]),
  verdict_groups: z.record(z.string(), both).default({}),
  verdict: z
    .strictObject({
      /** Summed probability of dangerous entries from which on the verdict is `dangerous`. */
      dangerous_from: z.number().gt(0).max(1).default(0.2),
      /** Of several photos together: a first candidate below it is `unsure`. Of one photo the model says so itself. */
      unsure_below: z.number().min(0).max(1).optional(),
    })
    .prefault({}),
  texts: z.object({ en: z.record(z.string(), text), ko: z.record(z.string(), text) }),
});

const colour = z.string().regex(/^#[0-9a-f]{6}$/, 'expected a colour such as #d9765f');
const word = z.string().regex(/^[a-z][a-z-]{0,30}$/, 'expected a word in lower case');

/** How entries are drawn, by their ids: a form that the app knows, and what differs within it. */
export const drawingsFile = z.record(
  entryId,
  z.strictObject({
    form: word,
    colour: colour.optional(),
    second: colour.optional(),
    count: z.int().min(1).max(60).optional(),
    leaf: word.optional(),
  }),
);

/** The tables that facts come from, by the names that the entries' `sources` use. */
export const sourcesFile = z.looseObject({
  tables: z.record(z.string(), z.looseObject({ short: both, title: text, cite: text })),
});

/** Facts and their rows are handed on as they are; what the guide itself works with is checked. */
export const entry = z.looseObject({
  id: entryId,
  members: z.array(entryId).max(1_000).default([]),
  scientific_name: z.string().min(1).max(300).optional(),
  synonyms: z.array(z.string().min(1).max(300)).max(200).default([]),
  family: z
    .object({ la: z.string().min(1).max(100), ko: z.string().max(100) })
    .nullable()
    .default(null),
  names: z.object({
    en: z.array(z.string().min(1).max(300)).min(1).max(200),
    ko: z.array(z.string().min(1).max(300)).min(1).max(200),
  }),
  text: both,
  lookalikes: z.array(entryId).max(100).default([]),
  verdict_group: z.string().nullable().default(null),
  danger: z
    .looseObject({ level: z.string().min(1).max(64), dangerous: z.boolean() })
    .nullable()
    .default(null),
});

export const entriesFile = z.object({
  format: z.literal(1),
  guide: guideId,
  entries: z.array(entry).min(1).max(MAX_ENTRIES),
  outcomes: z
    .array(z.object({ id: entryId, names: z.object({ en: z.array(text), ko: z.array(text) }), text: both }))
    .default([]),
});

export type GuideFile = Readonly<z.infer<typeof guideFile>>;
export type DrawingsFile = Readonly<z.infer<typeof drawingsFile>>;
export type SourcesFile = Readonly<z.infer<typeof sourcesFile>>;
export type Entry = Readonly<z.infer<typeof entry>>;
export type EntriesFile = Readonly<z.infer<typeof entriesFile>>;
