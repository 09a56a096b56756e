import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { createLogger } from './logging.ts';
import type { LogLevel } from './config.ts';

/** Logs through `write` and returns what came out. */
function logged(level: LogLevel, isTTY: boolean, write: (logger: ReturnType<typeof createLogger>) => void): string {
  let text = '';
  const stream = {
    isTTY,
    write(part: string) {
      text += part;
      return true;
    },
  };
  write(createLogger(level, stream as unknown as NodeJS.WriteStream));
  return text;
}

for (const isTTY of [true, false]) {
  const where = isTTY ? 'on a terminal' : 'for machines';

  void test(`secrets and bytes are not shown ${where}`, () => {
    const text = logged('info', isTTY, (logger) =>
      logger.info('m', { ticket: 'T0P', keyPem: 'T0P', held: new Secret('T0P'), payload: Buffer.from('T0P') }),
    );
    assert.doesNotMatch(text, /T0P/);
    assert.match(text, /3 bytes/);
  });

  void test(`levels below the chosen one are silent, and children keep their fields ${where}`, () => {
    const text = logged('warn', isTTY, (logger) => {
      const child = logger.child({ worker: 'gpu-1' });
      child.debug('no');
      child.info('no');
      child.warn('yes', { n: 1 });
    });
    assert.doesNotMatch(text, /no/);
    assert.match(text, /yes/);
    assert.match(text, /gpu-1/);
    assert.equal(text.trim().split('\n').length, 1);
    assert.equal(
      logged('silent', isTTY, (logger) => logger.error('no')),
      '',
    );
  });

  void test(`an error shows its code and message; a stack only when nobody expected it ${where}`, () => {
    const known = logged('info', isTTY, (logger) =>
      logger.error('m', { error: new PosternError('queue_full', 'full') }),
    );
    assert.match(known, /queue_full/);
    assert.doesNotMatch(known, / at /);
    assert.match(
      logged('info', isTTY, (logger) => logger.error('m', { error: new TypeError('oops') })),
      / at /,
    );
  });
}

void test('for machines every line is one JSON object with time, level and message', () => {
  const text = logged('info', false, (logger) => logger.info('worker connected', { from: 'a', to: 'b' }));
  const line = JSON.parse(text) as Record<string, unknown>;
  assert.deepEqual([line.level, line.message, line.from, line.to], ['info', 'worker connected', 'a', 'b']);
  assert.ok(!Number.isNaN(Date.parse(String(line.time))));
});
