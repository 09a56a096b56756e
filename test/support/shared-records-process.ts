/**
 * A process of its own with shared control records: `shared-records-process.ts <url> <name>`. It says `ready`, then obeys lines:
 * `write <text>` appends an audit entry about it and says `written` or the code of the error; `list` says all texts as JSON; `end` ends.
 */
import { createInterface } from 'node:readline';
import { systemClock } from '../../src/clock.ts';
import { PosternError } from '../../src/errors.ts';
import { appendAudit, listAudit, prepareAudit, verifyAudit } from '../../src/identity/audit.ts';
import { openSharedRecords } from '../../src/identity/shared/shared-records.ts';
import { Secret } from '../../src/secret.ts';

const [url = '', name = ''] = process.argv.slice(2);
const records = openSharedRecords({ url: new Secret(url), clock: systemClock });
prepareAudit(records);
records.watch(systemClock, () => undefined);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, text = ''] = line.split(' ');
  if (word === 'write') {
    try {
      const entry = { at: 1, actor: name, action: 'key.create', target: text, detail: {} } as const;
      records.write((db) => appendAudit(db, entry));
      say('written');
    } catch (error) {
      say(error instanceof PosternError ? error.code : String(error));
    }
  } else if (word === 'list') {
    say(JSON.stringify(listAudit(records.db, { limit: 10_000, beforeSeq: null }).map(({ target }) => target)));
  } else if (word === 'verify') {
    say(JSON.stringify(verifyAudit(records.db, null)));
  } else {
    records.close();
    process.exit(0);
  }
});
say('ready');
