import { describe } from 'node:test';
import { cannotRunPostgres } from '../../../test/support/postgres.ts';
import { emptyPostgresStore } from '../../../test/support/postgres-store.ts';
import { storeSuite } from '../store.suite.ts';
import { sameAsMemorySuite } from '../suite/same-as-memory.suite.ts';

const skip = cannotRunPostgres();

describe('on PostgreSQL', { skip }, () => {
  storeSuite('postgres', emptyPostgresStore);
  sameAsMemorySuite(emptyPostgresStore);
});
