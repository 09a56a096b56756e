/** `state.json`: which release serves and how each one fared. Owner: the supervisor; others only read it. */
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { PUBLIC_MODE, readStateFile, writeStateFile } from '../state-file.ts';
import { RELEASE_ID } from './manifest.ts';

const releaseId = z.string().regex(RELEASE_ID);

const health = z.enum(['new', 'healthy', 'failed']);

const state = z.object({
  format: z.literal(1),
  current: releaseId.nullable(),
  previous: releaseId.nullable(),
  /** The instance that serves. */
  active: z.string().max(100).nullable(),
  /** Counts instances, so that none has the name of an earlier one. */
  next_instance: z.int().min(1),
  switch: z.object({ from: releaseId.nullable(), to: releaseId, began_at_ms: z.int() }).nullable(),
  maintenance: z.string().max(1_000).nullable(),
  releases: z.record(releaseId, z.object({ health, since_ms: z.int(), reason: z.string().nullable() })),
});

export type State = z.infer<typeof state>;
export type Health = z.infer<typeof health>;

export const EMPTY_STATE: State = {
  format: 1,
  current: null,
  previous: null,
  active: null,
  next_instance: 1,
  switch: null,
  maintenance: null,
  releases: {},
};

/** Throws config_invalid for a file that is not one of ours: a guess at what serves would be worse. */
export async function readState(path: string): Promise<State> {
  const text = await readStateFile(path);
  if (text === null) return EMPTY_STATE;
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    content = undefined;
  }
  const parsed = state.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new PosternError(
    'config_invalid',
    `${path} is not a state of releases: put its backup back, or remove it and switch to a release again`,
  );
}

export const writeState = (path: string, next: State): Promise<void> =>
  writeStateFile(path, `${JSON.stringify(next, null, 2)}\n`, PUBLIC_MODE);
