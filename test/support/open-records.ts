/** One of several processes that open new control records at the same moment: `open-records.ts <folder>`. */
import { openRecords } from '../../src/identity/records.ts';

const records = openRecords(process.argv[2] ?? '');
records.prepare({ name: 'notes', steps: ['CREATE TABLE note (text TEXT NOT NULL UNIQUE) STRICT'] });
records.write((db) => db.prepare('INSERT INTO note VALUES (?)').run(String(process.pid)));
records.close();
