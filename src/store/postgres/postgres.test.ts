import { describe } from 'node:test';
import { cannotRunPostgres } from '../../../test/support/postgres.ts';
import { emptyPostgresStore } from '../../../test/support/postgres-store.ts';
import { storeSuite } from '../store.suite.ts';
import { filesSuite } from '../suite/files.suite.ts';
import { sameAsMemorySuite } from '../suite/same-as-memory.suite.ts';

const skip = cannotRunPostgres();

describe('on PostgreSQL', { skip }, () => {
  storeSuite('postgres', emptyPostgresStore);
  sameAsMemorySuite(emptyPostgresStore);
  filesSuite('postgres', async (clock) => {
    const store = await emptyPostgresStore({ clock });
    return { book: store.files!, stop: () => store.stop() };
  });
});
