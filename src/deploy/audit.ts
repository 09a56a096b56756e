/** Who released what, and what came of it: a line of JSON an act, flushed, only ever appended to. */
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface Act {
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly release: string | null;
  readonly outcome: 'begun' | 'done' | 'failed';
  readonly reason?: string;
}

/** About 50,000 acts. The part before that is kept beside it, and no more. */
const MAX_BYTES = 8 * 1024 * 1024;

export async function appendAct(path: string, act: Act): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const size = await stat(path).then(
    ({ size: bytes }) => bytes,
    () => 0,
  );
  if (size > MAX_BYTES) await rename(path, `${path}.1`);
  const file = await open(path, 'a', 0o600);
  try {
    await file.appendFile(`${JSON.stringify(act)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}
