/**
 * Promises broken on purpose, in the database or at the load balancer: the run must notice each of them, or its silence about the real
 * ones says nothing.
 */
import type { Site } from './site.ts';

export interface Sabotage {
  readonly name: string;
  /** Statements for the database, once the gateways have made it. */
  readonly sql?: readonly string[];
  /** Lines for the load balancer's front. */
  readonly balancer?: readonly string[];
  /** What is said of it matches. */
  readonly noticedBy: RegExp;
}

/** The function as it is, without one of its conditions. */
const without = (name: string, condition: string, instead: string): string => `
DO $do$ DECLARE v_text text := (SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'postern' AND p.proname = '${name}');
BEGIN
  IF position($c$${condition}$c$ IN v_text) = 0 THEN RAISE EXCEPTION 'the condition is not there'; END IF;
  EXECUTE replace(v_text, $c$${condition}$c$, $c$${instead}$c$);
END $do$`;

export const SABOTAGES: readonly Sabotage[] = [
  {
    name: 'one accepted job in thirty is forgotten',
    sql: [
      `CREATE FUNCTION audit.forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.seq % 30 = 0 THEN DELETE FROM postern.job WHERE seq = NEW.seq; END IF; RETURN NULL; END $$`,
      'CREATE TRIGGER forget AFTER INSERT ON postern.job FOR EACH ROW EXECUTE FUNCTION audit.forget()',
    ],
    noticedBy: /is lost|404|removed before its time/,
  },
  {
    name: 'what was answered is not flushed',
    sql: [
      'ALTER SYSTEM SET synchronous_commit = off',
      "ALTER SYSTEM SET wal_writer_delay = '10s'",
      'SELECT pg_reload_conf()',
    ],
    noticedBy: /is lost|404|was read as/,
  },
  {
    name: 'a decided job may be decided again',
    sql: [
      without(
        'end_1',
        "WHERE j.status = g.from_status AND j.attempt = g.attempt AND (g.from_status = 'starting' OR j.session = g.session)",
        'WHERE true',
      ),
      without('succeed_1', 'AND j.status = v_runs AND j.attempt = g.attempt AND j.session = g.session', ''),
      without(
        'succeed_1',
        'c.size::int) END, c.blob FROM changed c',
        'c.size::int) END, c.blob FROM changed c ON CONFLICT DO NOTHING',
      ),
    ],
    noticedBy: /decided twice|changed after|was read as|another output|sum that is wrong/,
  },
  {
    name: 'a key is not remembered',
    sql: [
      `CREATE FUNCTION audit.blur() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         NEW.idempotency_key := NEW.idempotency_key || NEW.id; RETURN NEW; END $$`,
      'CREATE TRIGGER blur BEFORE INSERT ON postern.job FOR EACH ROW EXECUTE FUNCTION audit.blur()',
    ],
    noticedBy: /made both/,
  },
  {
    name: 'the place in a stream is not remembered',
    balancer: ['http-request del-header last-event-id'],
    noticedBy: /twice/,
  },
  {
    name: 'one output in fifty belongs to another job',
    sql: [
      `CREATE FUNCTION audit.mix() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.seq % 50 = 0 THEN NEW.bytes := overlay(NEW.bytes PLACING 'x'::bytea FROM 1); END IF; RETURN NEW; END $$`,
      'CREATE TRIGGER mix BEFORE INSERT ON postern.output FOR EACH ROW EXECUTE FUNCTION audit.mix()',
    ],
    noticedBy: /another output|is no JSON/,
  },
];

export async function plant(site: Site, { sql = [] }: Sabotage): Promise<void> {
  for (const statement of sql) await site.postgres.query(statement, site.database);
}
