/** The other machine's own `postern`, asked in JSON. */
import { PosternError } from '../../errors.ts';
import { programScript } from './scripts.ts';
import type { Site } from './site.ts';

export interface ProgramCall {
  /** Which release answers; null: the current one. */
  readonly release: string | null;
  readonly args: readonly string[];
  /** Gets every line that is JSON, as it comes. */
  readonly onLine?: (value: Readonly<Record<string, unknown>>) => void;
}

/** The last JSON value that it printed. Throws deploy_failed with the program's own words when it failed. */
export async function askProgram(site: Site, { release, args, onLine }: ProgramCall): Promise<unknown> {
  let out = '';
  let last: unknown = null;
  const take = (line: string): void => {
    out += `${line}\n`;
    const value = parsed(line);
    if (value === undefined) return;
    last = value;
    if (typeof value === 'object' && value !== null) onLine?.(value as Readonly<Record<string, unknown>>);
  };
  const ended = await site.run(programScript(site.dir, release, args), { onLine: take });
  if (ended.code !== 0) {
    const said =
      ended.err.replace(/^postern: /gm, '').trim() || out.trim().split('\n').at(-1) || `exit code ${ended.code}`;
    throw new PosternError('deploy_failed', said);
  }
  return last ?? parsed(out) ?? null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
