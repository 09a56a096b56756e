/** The Korean README stands beside the English one: the same commands in the same order, the same answer, and no link that leads nowhere. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const root = new URL('..', import.meta.url).pathname;
const read = (name: string): string => readFileSync(join(root, name), 'utf8');

/** Lines of the blocks of a language, without what is said beside them. */
const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].flatMap(([, block = '']) =>
    block
      .trim()
      .split('\n')
      .map((line) => line.replace(/\s+# .*$/, '')),
  );

describe('README.ko.md', () => {
  const [english, korean] = [read('README.md'), read('README.ko.md')];

  test('has the commands of README.md', () => {
    assert.ok(blocks(korean, 'sh').length > 0);
    assert.deepEqual(blocks(korean, 'sh'), blocks(english, 'sh'));
  });

  test('shows the same answer', () => assert.deepEqual(blocks(korean, 'json'), blocks(english, 'json')));

  test('is linked from README.md, and its own links lead somewhere', () => {
    assert.match(english, /\(README\.ko\.md\)/);
    for (const [, target = ''] of korean.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      assert.ok(existsSync(join(root, target)), `${target} does not exist`);
    }
  });
});
