/** What an identification can come to, and what one photo came to. Ids and numbers only: names are the guide's, at the time of reading. */
import type { ErrorCode } from '../../errors.ts';

export interface Scored {
  readonly label: string;
  readonly score: number;
}

/** One photo, as the model answered it: all labels, best first, without the one for "none of them". */
export interface PhotoScores {
  readonly type: 'scores';
  readonly scores: readonly Scored[];
  readonly rejected: boolean;
  readonly unsure: boolean;
  /** Probability of "none of them"; null: the model has no such label. */
  readonly rejectScore: number | null;
  readonly version: string | null;
}

export interface PhotoFailure {
  readonly type: 'failed';
  readonly code: ErrorCode;
  readonly message: string;
  /** The same photo may do better another time. */
  readonly retryable: boolean;
}

export type PhotoResult = PhotoScores | PhotoFailure;

export interface Candidate {
  readonly entry: string;
  readonly score: number;
}

export interface Cause {
  /** Id of a verdict group; null: the entry stands alone. */
  readonly group: string | null;
  /** The likeliest of its entries. */
  readonly entry: string;
  readonly level: string | null;
  readonly probability: number;
}

export interface Danger {
  /** `unknown`: unsure, and nothing dangerous stands out. `none` never means safe. */
  readonly verdict: 'dangerous' | 'unknown' | 'none';
  /** Of everything that the guide calls dangerous, summed over all labels. */
  readonly probability: number;
  /** The most severe among the likely ones; null: none of them has one. */
  readonly level: string | null;
  readonly causes: readonly Cause[];
}

interface Named {
  readonly candidates: readonly Candidate[];
  readonly danger: Danger | null;
  readonly photosUsed: number;
  readonly photosLeftOut: number;
  readonly version: string | null;
}

export type Outcome =
  | ({ readonly type: 'candidates' | 'unsure' } & Named)
  | ({ readonly type: 'not_a_plant'; readonly danger: null } & Named)
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string; readonly retryable: boolean };
