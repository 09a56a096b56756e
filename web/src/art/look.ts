/** What a guide says of a drawing, with what it left out filled in; and what draws it. */
import type { Pen } from './pen.ts';

/** As a guide says it (`drawings.json`). */
export interface DrawingSpec {
  readonly form: string;
  readonly colour?: string;
  readonly second?: string;
  readonly count?: number;
  readonly leaf?: string;
}

export interface Look {
  readonly colour: string;
  readonly second: string;
  /** Of petals, leaflets or parts; null: as the form has it. */
  readonly count: number | null;
  readonly leaf: string;
}

export type Draw = (pen: Pen, look: Look) => void;
