/**
 * The last word of the gateway on which versions are to be loaded, in a file: a worker that starts begins with what was
 * served, before any gateway has spoken. Writes are made one after another; only the latest matters.
 */
import { z } from 'zod';
import { PUBLIC_MODE, readStateFile, writeStateFile } from '../../state-file.ts';
import type { Logger } from '../../logger.ts';
import { wantedVersions } from '../../protocol/messages.ts';
import type { WantedVersions } from '../../protocol/messages.ts';

const file = z.object({ models: z.array(wantedVersions).max(256) });

export interface Remembered {
  /** Nothing, when there is no file or it cannot be read: the newest versions are then loaded, as on the first start. */
  read(): Promise<readonly WantedVersions[]>;
  keep(models: readonly WantedVersions[]): void;
  /** Resolves when what was given is written, or could not be. */
  flushed(): Promise<void>;
}

export function createRemembered(path: string | null, logger: Logger): Remembered {
  let next: readonly WantedVersions[] | null = null;
  let writing: Promise<void> | null = null;
  let written = '';

  async function write(to: string): Promise<void> {
    while (next !== null) {
      const text = `${JSON.stringify({ models: next }, null, 2)}\n`;
      next = null;
      if (text === written) continue;
      try {
        await writeStateFile(to, text, PUBLIC_MODE);
        written = text;
      } catch (error) {
        logger.warn('which versions are served could not be written', { path: to, reason: (error as Error).message });
      }
    }
    writing = null;
  }

  return {
    async read() {
      if (path === null) return [];
      try {
        const text = await readStateFile(path);
        return text === null ? [] : file.parse(JSON.parse(text)).models;
      } catch (error) {
        logger.warn('which versions were served cannot be read', { path, reason: (error as Error).message });
        return [];
      }
    },
    keep(models) {
      if (path === null) return;
      next = models;
      writing ??= write(path);
    },
    flushed: () => writing ?? Promise.resolve(),
  };
}
