/** The drawing of an entry, out of its description in the guide. An entry without one gets a twig of its own. */
import type { DrawingSpec } from './look.ts';
import { createPen, type Sheet } from './pen.ts';
import { FORMS } from './forms.ts';
import { twig } from './foliage.ts';

export const WIDTH = 200;
export const HEIGHT = 240;
/** So far the colours lie beside the lines, as in a print whose plates do not quite meet. */
export const OFFSET = { x: 3.5, y: 2.5 } as const;

/** Spot colours for entries that name none: any of them beside the others looks well. */
const SPOTS = ['#e8b84a', '#d9765f', '#c58bb6', '#7f9fd1', '#8bb89a', '#d8c9a0'] as const;

export function draw(id: string, spec: DrawingSpec | null): Sheet {
  const { pen, sheet } = createPen(id);
  const spot = SPOTS[Math.floor(pen.random() * SPOTS.length)] ?? SPOTS[0];
  const form = FORMS[spec?.form ?? ''] ?? twig;
  form(pen, {
    colour: spec?.colour ?? spot,
    second: spec?.second ?? '#e8c34a',
    count: spec?.count ?? null,
    leaf: spec?.leaf ?? 'oval',
  });
  return sheet;
}
