/** What evaluation needs of a guide: which labels are dangerous, and which count as one for the verdict. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { PosternError } from '../../errors.ts';

const guideFile = z.object({
  entries: z.array(
    z.object({
      id: z.string(),
      members: z.array(z.string()).optional(),
      verdict_group: z.string().nullable().optional(),
      danger: z.object({ level: z.string(), dangerous: z.boolean() }).optional(),
    }),
  ),
});

export interface Guide {
  readonly dangerous: ReadonlySet<string>;
  /** The group in which a label's probability counts for the verdict; the label itself when it stands alone. */
  group(label: string): string;
}

/** null when there is no such file: a model without a guide has no danger figures. */
export async function readGuide(file: string): Promise<Guide | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return parseGuide(text, file);
}

export function parseGuide(text: string, file: string): Guide {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PosternError('config_invalid', `${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = guideFile.safeParse(value);
  if (!parsed.success)
    throw new PosternError('config_invalid', `${file} is not a guide: ${z.prettifyError(parsed.error)}`);
  const { entries } = parsed.data;
  const groups = new Map(entries.map(({ id, verdict_group: group }) => [id, group ?? id]));
  return {
    dangerous: new Set(entries.filter(({ danger }) => danger?.dangerous === true).map(({ id }) => id)),
    group: (label) => groups.get(label) ?? label,
  };
}
