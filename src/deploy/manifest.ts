/** `release.json`: what a release says of itself. Read before anything of it is started. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { releaseFolder, type Layout } from './layout.ts';

export const RELEASE_ID = /^[0-9a-f]{16,64}$/;
/** The contract between supervisor and instance (`hand-over.ts`) that this program speaks. */
export const HAND_OVER_VERSION = 1;
/** A manifest is a few lines; whatever is larger is something else. */
const MAX_MANIFEST_BYTES = 65_536;

/** Steps that a release knows, and how many another one must know at least to work beside it. */
const schemaFormat = z.object({ steps: z.int().min(0), oldest: z.int().min(0) });

const manifest = z.object({
  format: z.literal(1),
  id: z.string().regex(RELEASE_ID),
  version: z.string().min(1).max(100),
  commit: z.string().max(100).nullable().default(null),
  made_at: z.string().max(40).nullable().default(null),
  node: z.string().max(40).nullable().default(null),
  /** Relative to the folder; a first word without a slash is looked up in the path. */
  command: z.array(z.string().min(1).max(1_000)).min(1).max(32),
  hand_over: z.int().min(1),
  schema: z.record(z.string().max(100), schemaFormat),
});

export type Manifest = z.infer<typeof manifest>;
export type SchemaFormats = Manifest['schema'];

/** Throws release_invalid. */
export async function readManifest(layout: Layout, id: string): Promise<Manifest> {
  const invalid = (why: string): PosternError =>
    new PosternError('release_invalid', `The release ${id.slice(0, 64)} cannot be used: ${why}.`);
  if (!RELEASE_ID.test(id)) throw invalid('its id is not 16 to 64 digits of 0-9a-f');
  let text: string;
  try {
    text = await readFile(join(releaseFolder(layout, id), 'release.json'), 'utf8');
  } catch (error) {
    throw invalid(`its release.json cannot be read (${(error as Error).message})`);
  }
  if (text.length > MAX_MANIFEST_BYTES) throw invalid(`its release.json is larger than ${MAX_MANIFEST_BYTES} bytes`);
  const parsed = manifest.safeParse(parseJson(text));
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`);
    throw invalid(`its release.json has problems: ${problems.slice(0, 5).join('; ')}`);
  }
  if (parsed.data.id !== id) throw invalid(`its release.json is that of ${parsed.data.id}`);
  if (parsed.data.hand_over > HAND_OVER_VERSION) {
    throw invalid(
      `it speaks version ${parsed.data.hand_over} of the hand-over and this supervisor version ${HAND_OVER_VERSION}: restart the supervisor from a newer release first`,
    );
  }
  return parsed.data;
}

/** Ids of the folders that look like releases, in no order. */
export async function listReleaseIds({ releases }: Layout): Promise<string[]> {
  try {
    return (await readdir(releases)).filter((name) => RELEASE_ID.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What would stop working if `next` took its schema steps while `current` serves; null: nothing. */
export function schemaConflict(current: SchemaFormats, next: SchemaFormats): string | null {
  for (const [database, { oldest }] of Object.entries(next)) {
    const known = current[database]?.steps;
    if (known !== undefined && known < oldest) {
      return `the schema of "${database}" would need a release that knows ${oldest} steps, and the one that serves knows ${known}`;
    }
  }
  return null;
}
