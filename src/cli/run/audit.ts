/** Reads and checks the audit log. */
import { PosternError } from '../../errors.ts';
import { auditHead, formatHead, listAudit, parseHead, prepareAudit, verifyAudit } from '../../identity/audit.ts';
import { withRecords } from '../control-records.ts';
import { EXIT_FAILED } from '../exit.ts';
import { printable, table } from '../terminal.ts';

export interface AuditListFlags {
  readonly limit: number;
  readonly before?: number;
  readonly json?: boolean;
}

export interface AuditVerifyFlags {
  readonly head?: string;
  readonly json?: boolean;
}

export function listEntries({ limit, before, json }: AuditListFlags): void {
  const entries = withRecords((records) => {
    prepareAudit(records);
    return listAudit(records.db, { limit, beforeSeq: before ?? null });
  });
  if (json === true) {
    for (const entry of entries) process.stdout.write(`${JSON.stringify(entry)}\n`);
    return;
  }
  if (entries.length === 0) {
    process.stdout.write('No entries.\n');
    return;
  }
  const rows = entries.map(({ seq, at, actor, action, target, detail }) => [
    String(seq),
    new Date(at).toISOString(),
    printable(actor),
    action,
    printable(target),
    printable(JSON.stringify(detail)),
  ]);
  const columns = ['ENTRY', 'TIME', 'WHO', 'WHAT', 'TO', 'DETAIL'].map((title, i) => ({ title, right: i === 0 }));
  process.stdout.write(table(columns, rows));
}

export function verify({ head, json }: AuditVerifyFlags): void {
  const known = head === undefined ? null : parseHead(head);
  if (head !== undefined && known === null) {
    throw new PosternError('config_invalid', '--head: expected <seq>:<hash>, as `postern audit head` prints it');
  }
  const verdict = withRecords((records) => {
    prepareAudit(records);
    return verifyAudit(records.db, known);
  });
  if (!verdict.isIntact) process.exitCode = EXIT_FAILED;
  if (json === true) process.stdout.write(`${JSON.stringify(verdict)}\n`);
  else if (verdict.isIntact) {
    process.stdout.write(`The log is whole: ${verdict.head.seq} entries, head ${formatHead(verdict.head)}\n`);
  } else process.stderr.write(`postern: the log is not whole: ${verdict.problem}\n`);
}

export function head(): void {
  const newest = withRecords((records) => {
    prepareAudit(records);
    return auditHead(records.db);
  });
  process.stdout.write(`${formatHead(newest)}\n`);
}
