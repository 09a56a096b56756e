/** Processes on one store that show each other that they live: a part of the port that only a shared store has. */

export interface MemberNote {
  /** Of one process; never used by another one. */
  readonly id: string;
  readonly release: string;
  readonly state: 'serving' | 'draining';
  /** `host:port`; null: none that leads to this process alone is known. */
  readonly tunnelAddress: string | null;
  readonly peerAddress: string | null;
  /** JSON, of at most {@link MAX_SUMMARY_CHARS}. */
  readonly summary: string;
}

export interface MemberRow extends MemberNote {
  /** By the store's clock. */
  readonly joinedAt: number;
  /** Since its last beat. */
  readonly ageMs: number;
}

/** Models of a worker are bounded, workers of a gateway too, but not together. */
export const MAX_SUMMARY_CHARS = 262_144;

export interface MemberBook {
  /** Notes that this process lives, and gives the notes of all, by id. What nobody renewed for long is gone. */
  beat(own: MemberNote): Promise<MemberRow[]>;
  /** The notes alone. */
  read(): Promise<MemberRow[]>;
  leave(id: string): Promise<void>;
  /** Tells the others that there is something new: the hint `members`. */
  announce(): void;
}
