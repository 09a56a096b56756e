/** Replaces the certificate authority in two steps, and shows who has moved over in between. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { openAuthorities } from '../../identity/authorities.ts';
import { authorityFiles, openAuthority } from '../../identity/authority.ts';
import { certificateOf, type Workers } from '../../identity/workers.ts';
import { createGatewaySecrets } from '../../gateway/webhooks/place.ts';
import { withIdentity } from '../gateway-identity.ts';

export interface RotateFlags {
  readonly finish?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

interface Progress {
  readonly state: 'begun' | 'under way' | 'finished';
  readonly moved: readonly string[];
  readonly waiting: readonly string[];
}

export async function rotateCa(flags: RotateFlags): Promise<void> {
  await withIdentity(async ({ config, records, identity, act }) => {
    const { workers } = identity;
    if (config.pkiDir !== null) {
      throw new PosternError('config_invalid', 'POSTERN_PKI_DIR is set: its authority is replaced by replacing files');
    }
    const authorities = openAuthorities(records);
    const folder = join(config.dataDir, 'identity');
    const { present, next } = authorities.numbers.value;
    if (next === null) {
      if (flags.finish === true) {
        throw new PosternError('config_invalid', 'no replacement is under way: begin with postern rotate-ca');
      }
      // The files first: a gateway that hears of the number must find them.
      await openAuthority(folder, systemClock, present + 1);
      authorities.begin(present + 1, act);
      show({ state: 'begun', ...progressOf(workers, present + 1) }, flags);
      return;
    }
    const progress = progressOf(workers, next);
    if (flags.finish !== true) {
      show({ state: 'under way', ...progress }, flags);
      return;
    }
    if (progress.waiting.length > 0 && flags.force !== true) {
      throw new PosternError(
        'config_invalid',
        `not moved over yet: ${progress.waiting.join(', ')}. Wait for their renewal, revoke them, or end it with --force and invite them again`,
      );
    }
    // What is sealed for the old one alone would be lost with its key.
    if (config.databaseUrl !== null) {
      const shared = { dataDir: config.dataDir, isShared: true, records, clock: systemClock };
      await createGatewaySecrets({ ...shared, authorities: () => identity.pki.authorities }).open();
    }
    const retired = authorities.finish(act);
    // Its certificate stays as a document; the key can sign nothing that counts, and is gone.
    if (retired !== null) await rm(authorityFiles(folder, retired).keyPath, { force: true });
    show({ state: 'finished', ...progress }, flags);
  });
}

/** Who trusts the next authority already: those that hold a certificate of it. */
function progressOf({ book }: Workers, next: number): Pick<Progress, 'moved' | 'waiting'> {
  const moved: string[] = [];
  const waiting: string[] = [];
  for (const worker of book.value.workers.values()) {
    if (worker.revokedAt !== null || worker.lockedAt !== null || worker.generation === 0) continue;
    const newest = certificateOf(book.value, worker.name, worker.generation);
    (newest?.authority === next ? moved : waiting).push(worker.name);
  }
  return { moved, waiting };
}

function show(progress: Progress, flags: RotateFlags): void {
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(progress)}\n`);
    return;
  }
  const { state, moved, waiting } = progress;
  const lines =
    state === 'finished'
      ? ['The new authority is the only one.', ...(waiting.length > 0 ? [`Invite again: ${waiting.join(', ')}`] : [])]
      : [
          state === 'begun'
            ? 'A new authority signs from here on; old and new are trusted.'
            : 'Old and new authority are trusted.',
          `Moved over: ${moved.join(', ') || 'nobody'}. Not yet: ${waiting.join(', ') || 'nobody'}.`,
          waiting.length > 0 ? 'They move with their next renewal.' : 'End it with: postern rotate-ca --finish',
        ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
