import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgress, duration, paint, printable, table, textWidth } from './terminal.ts';

/** As much of a terminal as the bar uses. */
function screen(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  let text = '';
  const stream = {
    isTTY,
    write(part: string) {
      text += part;
      return true;
    },
  };
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text };
}

void test('a table lines up, with Korean taking two cells a character', () => {
  const text = table(
    [{ title: 'NAME' }, { title: 'N', right: true }],
    [
      ['진달래', '1'],
      ['rose', '200'],
    ],
  );
  assert.equal(text, 'NAME      N\n진달래    1\nrose    200\n');
  assert.equal(textWidth('진달래'), 6);
  assert.equal(textWidth('\u001b[31mred\u001b[39m'), 3);
});

void test('names from outside cannot move the cursor, colour the screen or turn the writing', () => {
  assert.equal(printable('a\u001b[2Jb\rc\nd\u202ee'), 'ab?c?d?e');
});

void test('colours need a terminal', () => {
  assert.equal(paint({ isTTY: false }, 'red', 'x'), 'x');
  assert.equal(paint({}, 'red', 'x'), 'x');
});

void test('the bar counts on a terminal and removes itself', () => {
  const { stream, text } = screen(true);
  const progress = createProgress(3, 'photos', stream);
  for (let i = 0; i < 3; i += 1) progress.step();
  assert.match(text(), /3\/3 photos/);
  progress.end();
  progress.end();
  assert.ok(text().endsWith('\r\u001b[2K'));
});

void test('there is no bar in a pipe, nor for a single thing', () => {
  for (const [isTTY, total] of [
    [false, 100],
    [true, 1],
  ] as const) {
    const { stream, text } = screen(isTTY);
    const progress = createProgress(total, 'photos', stream);
    progress.step();
    progress.end();
    assert.equal(text(), '');
  }
});

void test('durations are read, not calculated', () => {
  assert.deepEqual([7.4, 200, 7_500].map(duration), ['7 s', '3 min 20 s', '2 h 5 min']);
});
