/** Links that lead to what serves now. Replaced in one step: who follows one finds the old or the new, never nothing. */
import { rename, rm, symlink } from 'node:fs/promises';
import { basename } from 'node:path';

export async function pointLink(link: string, target: string): Promise<void> {
  const draft = `${link}.${process.pid}.draft`;
  await rm(draft, { force: true });
  await symlink(target, draft);
  await rename(draft, link);
}

/** For a link beside its target. */
export const pointBeside = (link: string, target: string): Promise<void> => pointLink(link, basename(target));
