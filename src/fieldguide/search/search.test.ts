/** Search by name, on the guides that are served: what is typed right comes first, and what is typed wrong is found. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { assemble, disassemble } from 'es-hangul';
import fc from 'fast-check';
import { createRandom, type Random } from '../../../test/support/random.ts';
import { createSearch } from './search.ts';
import type { Hit } from './scores.ts';

interface Plant {
  id: string;
  names: { en: string[]; ko: string[] };
  scientific_name?: string;
  synonyms?: string[];
}

const root = path.join(import.meta.dirname, '../../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const plants = (JSON.parse(read('guides/plants/entries.json')) as { entries: Plant[] }).entries.map(
  ({ names, scientific_name: scientific, synonyms = [] }) => ({
    names: [...names.ko, ...names.en, ...(scientific ? [scientific] : []), ...synonyms],
  }),
);
const search = createSearch(plants);
const first = (query: string): readonly string[] => {
  const [hit] = search.find(query, 1);
  return hit ? plants[hit.entry]!.names : [];
};
const hasName = (names: readonly string[], name: string): boolean =>
  names.some((one) => one.toLowerCase() === name.toLowerCase());

describe('search by name', () => {
  test('a name typed as it is written comes first, every one', () => {
    const missed = plants.flatMap(({ names }) => names).filter((name) => !hasName(first(name), name));
    assert.deepEqual(missed, []);
  });

  test('in any list of names, however alike, each one typed exactly leads to an entry that has it', () => {
    const syllable = fc.constantFrom(...'가각간나낙다달라마막바박사삭아안자차카타파하');
    const korean = fc.string({ unit: syllable, minLength: 1, maxLength: 4 });
    const latin = fc.string({ unit: fc.constantFrom(...'aeirstl'), minLength: 1, maxLength: 6 });
    const names = fc.array(fc.array(fc.oneof(korean, latin), { minLength: 1, maxLength: 3 }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(names, (lists) => {
        const own = createSearch(lists.map((of) => ({ names: of })));
        for (const name of lists.flat()) {
          const [hit] = own.find(name, 1);
          assert.ok(hit && lists[hit.entry]?.includes(name), name);
        }
      }),
      { numRuns: 100, seed: 7 },
    );
  });

  test('capitals, accents, spaces and signs make no difference', () => {
    for (const query of ['FOXGLOVE', 'Fóxglove', ' foxglove ', 'colts-foot', 'COLT’S FOOT', 'jack in the pulpit']) {
      assert.notDeepEqual(first(query), [], query);
    }
    assert.ok(hasName(first('jack in the pulpit'), 'Jack-in-the-pulpit'));
    assert.ok(hasName(first('coltsfoot'), first("colt's foot")[0] ?? ''));
  });

  test('exact before beginning, and beginning before typing error', () => {
    const small = createSearch([
      { names: ['roses'] },
      { names: ['rosette'] },
      { names: ['rose'] },
      { names: ['nose'] },
    ]);
    assert.deepEqual(
      small.find('rose', 10).map(({ entry }) => entry),
      [2, 0, 1, 3],
    );
  });

  test('finds as one types, from the first letter and in the middle of a syllable', () => {
    for (const typed of ['ㅎ', '해', '햅', '해바', '해발', '해바라', '해바락', '해바라기']) {
      const names = search.find(typed, 10).flatMap(({ entry }) => plants[entry]!.names);
      assert.ok(names.includes('해바라기'), typed);
    }
    assert.ok(hasName(first('sunf'), 'sunflower'));
  });

  for (const list of ['typing-errors', 'typing-errors.held-out', 'typing-errors.third']) {
    test(`at least 97 % of ${list}.tsv come first`, () => {
      const cases = read(`test/search/${list}.tsv`)
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => line.split('\t') as [typed: string, meant: string]);
      assert.ok(cases.length >= 100, 'a list of a hundred or more');
      const missed = cases.filter(
        ([typed, meant]) => !hasName(first(typed), meant) && !hasName(first(typed), meant.replace(/^common /, '')),
      );
      assert.ok(missed.length <= cases.length * 0.03, `missed: ${missed.map(([typed]) => typed).join(', ')}`);
    });
  }

  for (const slips of [1, 2]) {
    test(`at least 95 % of Korean names with ${slips} random jamo wrong come first`, () => {
      const random = createRandom(slips);
      const cases = plants
        .flatMap(({ names }) => names.filter((name) => /^[가-힣]+$/.test(name)))
        .flatMap((name) => Array.from({ length: 8 }, () => ({ name, typed: withSlips(name, slips, random) })));
      const missed = cases.filter(({ name, typed }) => !first(typed).includes(name));
      assert.ok(missed.length <= cases.length * 0.05, `${missed.length} of ${cases.length}`);
    });
  }

  test('pages follow one another without a gap or a repetition', () => {
    const whole = search.find('lily', 200);
    const paged: Hit[] = [];
    let after: Hit | null = null;
    do {
      const page: Hit[] = search.find('lily', 3, after);
      paged.push(...page);
      after = page.length === 3 ? page[2]! : null;
    } while (after !== null);
    assert.ok(whole.length > 6);
    assert.deepEqual(paged, whole);
  });

  test('what is left out by the caller does not shorten a page', () => {
    const odd = search.find('lily', 3, null, (entry) => entry % 2 === 1);
    assert.equal(odd.length, 3);
    assert.ok(odd.every(({ entry }) => entry % 2 === 1));
  });

  test('answers anything, without letters, endless, or in scripts that it does not know', () => {
    for (const query of [
      '',
      '   ',
      '!?',
      '😀',
      'ß',
      'ひまわり',
      'подсолнух',
      'a'.repeat(10_000),
      '가'.repeat(10_000),
      '\u0000\uffff\ud800',
    ]) {
      assert.ok(search.find(query, 5).length <= 5, query.slice(0, 20));
    }
    const other = createSearch([{ names: ['ひまわり'] }, { names: ['подсолнух'] }]);
    assert.equal(other.find('ひまわ', 1)[0]?.entry, 0);
    assert.equal(other.find('подсолнуг', 1)[0]?.entry, 1);
  });
});

/** Another letter, one too few, one too many, or two swapped, at random places. */
function withSlips(name: string, slips: number, random: Random): string {
  const jamo = [...'ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎㅏㅑㅓㅕㅗㅛㅜㅠㅡㅣㅐㅔ'];
  let letters = [...disassemble(name)];
  for (let slip = 0; slip < slips; slip += 1) {
    const at = random.int(0, letters.length - 1);
    const before = letters.slice(0, at);
    const after = letters.slice(at + 1);
    const letter = letters[at]!;
    switch (random.int(0, 3)) {
      case 0:
        letters = [...before, random.pick(jamo), ...after];
        break;
      case 1:
        letters = letters.length > 2 ? [...before, ...after] : letters;
        break;
      case 2:
        letters = [...before, random.pick(jamo), letter, ...after];
        break;
      default:
        letters = after.length > 0 ? [...before, after[0]!, letter, ...after.slice(1)] : [...before, random.pick(jamo)];
    }
  }
  try {
    return assemble(letters);
  } catch {
    return letters.join('');
  }
}
