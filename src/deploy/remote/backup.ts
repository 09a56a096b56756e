/**
 * Before a release that takes the database to a newer form serves for the first time, the database is copied. The rule of
 * docs/architecture/releases.md lets the old release go on with the new form, so that a rollback needs no copy; the copy is
 * for the day on which the rule was broken.
 */
import type { ReleaseDescription } from '../archive/release.ts';
import { askProgram } from './program.ts';
import type { Site } from './site.ts';

export async function backUp(
  site: Site,
  { id, schema }: ReleaseDescription,
  wanted: boolean,
): Promise<{ readonly text: string }> {
  const { current } = site.probe;
  if (current === null || current === id) return { text: 'nothing to copy: no other release served here' };
  const before = stepsOf(await readCurrent(site));
  const after = stepsOf(schema);
  if (before !== null && after !== null && after <= before)
    return { text: 'not needed: the form of the database stays' };
  if (!wanted) return { text: 'left out, as asked (--no-backup): the form of the database changes' };
  // One copy for one change: a deploy that failed and comes again finds its own.
  const folder = `${site.dir}/work/backups/before-${id}`;
  const { code } = await site.run(`[ -d ${folder} ]`);
  if (code === 0) return { text: `${folder}, from an earlier try` };
  await site.run(`umask 077; mkdir -p ${site.dir}/work/backups`);
  await askProgram(site, { release: null, args: ['backup', folder] });
  return { text: folder };
}

async function readCurrent(site: Site): Promise<unknown> {
  const { code, out } = await site.run(`cat ${site.dir}/current/release.json`);
  return code === 0 ? (JSON.parse(out) as { schema?: unknown }).schema : null;
}

/** All databases' steps together: they only grow. null: it does not say. */
function stepsOf(schema: unknown): number | null {
  if (typeof schema !== 'object' || schema === null) return null;
  const steps = Object.values(schema).map((one) => (one as { steps?: unknown }).steps);
  return steps.every((one) => typeof one === 'number') ? steps.reduce((sum, one) => sum + one, 0) : null;
}
