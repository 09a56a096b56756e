/** docs/protocol.md says what the code does: every message with its fields, every limit with its value, every wire error. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { z } from 'zod';
import { isErrorCode } from '../errors.ts';
import * as limits from './limits.ts';
import { message as messageSchema } from './messages.ts';
import { DIRECTIONS } from './parse.ts';

const doc = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

/** The cells of the table between the marks, without its head. */
function table(mark: string): string[][] {
  const part = doc.split(`<!-- ${mark} -->`)[1]?.split(`<!-- /${mark} -->`)[0] ?? '';
  const rows = part.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

void test('the table of messages has every type, its direction and its fields', () => {
  const arrows = { worker: 'W→G', gateway: 'G→W', both: 'both' };
  const expected = messageSchema.options.map((schema) => {
    const type = schema.shape.type.value;
    const fields = Object.entries<z.ZodType>(schema.shape).filter(([name]) => name !== 'type');
    const names = fields.map(([name, field]) => `\`${name}${field.safeParse(undefined).success ? '?' : ''}\``);
    return [`\`${type}\``, arrows[DIRECTIONS[type]], names.join(' ')];
  });
  assert.deepEqual(
    table('messages').map((cells) => cells.slice(0, 3)),
    expected,
  );
});

void test('the table of limits has every limit with its value', () => {
  // The version is no limit, and the queue of the sender is nobody else's business.
  const apart = ['PROTOCOL_VERSION', 'MAX_QUEUED_MESSAGE_BYTES'];
  const expected = Object.entries(limits).flatMap(([name, value]) =>
    typeof value === 'number' && !apart.includes(name) ? [[`\`${name}\``, value.toLocaleString('en-US')]] : [],
  );
  assert.deepEqual(
    table('limits')
      .map((cells) => cells.slice(0, 2))
      .sort(),
    expected.sort(),
  );
});

void test('every code that the violations name is in the table of errors', () => {
  const codes = [...(doc.split('## 9. Violations')[1] ?? '').matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, code]) => code);
  assert(codes.length > 8);
  for (const code of codes) assert(isErrorCode(code), code);
});
