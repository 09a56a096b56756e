/** Reads a guide's folder into memory, or says everything that is wrong with it. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { PosternError } from '../../errors.ts';
import { createGuide, type Guide } from './guide.ts';
import {
  drawingsFile,
  entriesFile,
  guideFile,
  MAX_GUIDE_BYTES,
  sourcesFile,
  type EntriesFile,
  type GuideFile,
} from './format.ts';

/** So many problems are told; the rest is counted. */
const MAX_PROBLEMS = 20;

/** Throws config_invalid that names the folder and what is wrong in it. */
export async function loadGuide(folder: string): Promise<Guide> {
  const file = await read(folder, 'guide.json', guideFile);
  const entries = await read(folder, file.entries, entriesFile);
  const problems = problemsOf(file, entries);
  if (problems.length > 0) throw broken(folder, file.entries, problems);
  const { tables } = file.sources === undefined ? { tables: {} } : await read(folder, file.sources, sourcesFile);
  const drawings = file.drawings === undefined ? {} : await read(folder, file.drawings, drawingsFile);
  const known = new Set(entries.entries.map(({ id }) => id));
  const strange = Object.keys(drawings).filter((entry) => !known.has(entry));
  if (strange.length > 0) {
    throw broken(
      folder,
      file.drawings ?? '',
      strange.map((entry) => `there is no entry ${entry}`),
    );
  }
  return createGuide(file, entries, { tables, drawings });
}

async function read<T extends z.ZodType>(folder: string, name: string, schema: T): Promise<z.infer<T>> {
  const path = join(folder, name);
  let value: unknown;
  try {
    const { size } = await stat(path);
    if (size > MAX_GUIDE_BYTES) throw broken(folder, name, [`${size} bytes, at most ${MAX_GUIDE_BYTES} are read`]);
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof PosternError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw broken(folder, name, [missing ? 'there is no such file' : (error as Error).message], error);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw broken(
    folder,
    name,
    parsed.error.issues.map(({ path: at, message }) => `${at.join('.') || 'the file'}: ${message}`),
  );
}

/** What the schema of one file cannot see: names that stand for each other. */
function problemsOf({ id, hidden, levels, verdict_groups: groups }: GuideFile, file: EntriesFile): string[] {
  const problems: string[] = [];
  if (file.guide !== id) problems.push(`guide: expected ${id}, got ${file.guide}`);
  const ids = new Set<string>();
  for (const { id: entry } of file.entries) {
    if (ids.has(entry)) problems.push(`${entry}: there are two entries with this id`);
    ids.add(entry);
  }
  const known = (entry: string, at: string): void => {
    if (!ids.has(entry)) problems.push(`${at}: there is no entry ${entry}`);
  };
  hidden.forEach((entry) => known(entry, 'hidden'));
  const levelIds = new Set(levels.map((level) => level.id));
  for (const entry of file.entries) {
    entry.lookalikes.forEach((other) => known(other, `${entry.id}.lookalikes`));
    if (entry.danger && !levelIds.has(entry.danger.level)) {
      problems.push(`${entry.id}.danger.level: guide.json has no level ${entry.danger.level}`);
    }
    if (entry.verdict_group !== null && !Object.hasOwn(groups, entry.verdict_group)) {
      problems.push(`${entry.id}.verdict_group: guide.json has no group ${entry.verdict_group}`);
    }
  }
  return problems;
}

function broken(folder: string, name: string, problems: readonly string[], cause?: unknown): PosternError {
  const shown = problems.slice(0, MAX_PROBLEMS).map((problem) => `\n  ${problem}`);
  const more = problems.length - shown.length;
  const rest = more > 0 ? `\n  and ${more} more` : '';
  return new PosternError('config_invalid', `the guide ${folder} cannot be used; ${name}:${shown.join('')}${rest}`, {
    cause,
  });
}
