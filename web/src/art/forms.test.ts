/** Every drawing that a guide of ours asks for is one that can be drawn, on the sheet, and the same each time. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { FORMS } from './forms.ts';
import { LEAF_KINDS } from './leaves.ts';
import type { DrawingSpec } from './look.ts';
import { draw, HEIGHT, WIDTH } from './plate.ts';

const guides = join(import.meta.dirname, '../../../guides');
const HABITS = [...LEAF_KINDS, 'basal', 'pad', 'none'];

describe('drawings', () => {
  for (const guide of ['plants', 'clothes']) {
    const specs = JSON.parse(readFileSync(join(guides, guide, 'drawings.json'), 'utf8')) as Record<string, DrawingSpec>;

    test(`of ${guide} name forms and leaves that there are`, () => {
      for (const [id, { form, leaf }] of Object.entries(specs)) {
        assert.ok(Object.hasOwn(FORMS, form), `${id}: there is no form ${form}`);
        if (leaf !== undefined) assert.ok(HABITS.includes(leaf), `${id}: there is no leaf ${leaf}`);
      }
    });

    test(`of ${guide} stay on the sheet`, () => {
      for (const [id, spec] of Object.entries(specs)) {
        const { flats, lines } = draw(id, spec);
        assert.ok(flats.length + lines.length < 700, `${id} has too many strokes for a list`);
        for (const { d } of [...flats, ...lines]) {
          const numbers = (d.match(/-?\d+(?:\.\d+)?/g) ?? []).map(Number);
          numbers.forEach((value, at) => {
            const most = at % 2 === 0 ? WIDTH : HEIGHT;
            // Control points may lie a little outside of what is seen.
            assert.ok(value > -24 && value < most + 24, `${id}: ${value} in ${d.slice(0, 80)}`);
          });
        }
      }
    });
  }

  test('are the same every time, and differ from entry to entry', () => {
    assert.deepEqual(draw('rose', null), draw('rose', null));
    assert.notDeepEqual(draw('rose', null), draw('iris', null));
  });
});
