/**
 * The schema, as numbered steps that only go forward. A step adds (tables, columns, `_2` beside `_1`) and never takes from what an earlier
 * release uses, so that gateways of two releases run on one database while a release is switched; what no release uses any more
 * goes in a later step (`oldest` then says which releases may still run). One process at a time migrates; the others wait for it.
 */
import { readFileSync } from 'node:fs';
import { PosternError } from '../../errors.ts';
import type { Run, Statement } from './connection.ts';
import { LOCK_SPACE } from './options.ts';

interface Migration {
  readonly name: string;
  /** The first step that a release must know to run beside this one. */
  readonly oldest: number;
}

const MIGRATIONS: readonly Migration[] = [
  { name: '0001-tables', oldest: 1 },
  { name: '0002-steps', oldest: 2 },
  { name: '0003-files', oldest: 2 },
  { name: '0004-members', oldest: 2 },
  { name: '0005-bulk', oldest: 2 },
];

const MIGRATE_LOCK = 1;
const sqlOf = ({ name }: Migration): string =>
  readFileSync(new URL(`./migrations/${name}.sql`, import.meta.url), 'utf8');

export interface SchemaState {
  /** Steps that were taken. */
  readonly version: number;
  /** Steps that this release knows. */
  readonly known: number;
  /** Why this release may not run on it; null: it may. */
  readonly refusal: string | null;
}

type Ask = (statement: Statement) => Promise<readonly (readonly unknown[])[]>;

async function stateOf(ask: Ask): Promise<SchemaState> {
  const known = MIGRATIONS.length;
  const [exists] = await ask({ text: "SELECT to_regclass('postern.migration') IS NOT NULL", values: [] });
  if (exists?.[0] !== true) return { version: 0, known, refusal: refusalOf(0, known, 0) };
  const [row] = await ask({
    text: 'SELECT coalesce(max(version), 0)::int, coalesce(max(oldest), 0)::int FROM postern.migration',
    values: [],
  });
  const [version, oldest] = row as [number, number];
  return { version, known, refusal: refusalOf(version, known, oldest) };
}

function refusalOf(version: number, known: number, oldest: number): string | null {
  if (version < known)
    return `the database has format ${version} and this Postern needs ${known}: run \`postern migrate\``;
  if (oldest > known) {
    return `the database has format ${version}, which needs a Postern that knows ${oldest}, and this one knows ${known}: use a newer release`;
  }
  return null;
}

export const schemaState = (run: Run): Promise<SchemaState> => stateOf(async (one) => (await run([one]))[0]!);

/** Takes the steps that are missing, all in the given transaction. Returns their names. */
export async function migrate(run: Run): Promise<string[]> {
  const ask: Ask = async (statement) => (await run([statement]))[0]!;
  await ask({ text: 'SELECT pg_advisory_xact_lock($1, $2)', values: [LOCK_SPACE, MIGRATE_LOCK] });
  const [encoding] = await ask({ text: 'SHOW server_encoding', values: [] });
  if (encoding?.[0] !== 'UTF8') {
    throw new PosternError('config_invalid', `the database's encoding must be UTF8, and is ${String(encoding?.[0])}`);
  }
  await ask({ text: 'CREATE SCHEMA IF NOT EXISTS postern', values: [] });
  await ask({
    text: `CREATE TABLE IF NOT EXISTS postern.migration (
      version int PRIMARY KEY, name text NOT NULL, oldest int NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
    values: [],
  });
  const { version } = await stateOf(ask);
  const missing = MIGRATIONS.slice(version);
  for (const [index, step] of missing.entries()) {
    // Without parameters it is sent as it stands, many statements at once.
    await ask({ text: sqlOf(step), values: [] });
    await ask({
      text: 'INSERT INTO postern.migration (version, name, oldest) VALUES ($1, $2, $3)',
      values: [version + index + 1, step.name, step.oldest],
    });
  }
  return missing.map(({ name }) => name);
}
