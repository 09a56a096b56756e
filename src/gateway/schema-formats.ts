/** How far this program's schemas are, and how old a release may be that works beside it: for `release.json`. */
import { MIGRATIONS, OLDEST_STEPS } from '../store/sqlite/schema.ts';

export interface SchemaFormat {
  /** Steps that it knows. */
  readonly steps: number;
  /** The fewest steps that another release must know to work on what this one left. */
  readonly oldest: number;
}

export function schemaFormats(): Readonly<Record<string, SchemaFormat>> {
  return { store: { steps: MIGRATIONS.length, oldest: OLDEST_STEPS } };
}
