/** What the field guide answers, as far as tests look at it. */
export interface EntrySummary {
  readonly id: string;
  readonly names: { readonly en: readonly string[]; readonly ko: readonly string[] };
}

export interface Outcome {
  readonly type: 'candidates' | 'unsure' | 'not_a_plant' | 'failed';
  readonly candidates: readonly { readonly entry: EntrySummary; readonly score: number }[];
  readonly danger: {
    readonly verdict: string;
    readonly probability: number;
    readonly level: string | null;
    readonly causes: readonly {
      readonly group: string | null;
      readonly entry: string;
      readonly probability: number;
      readonly parts: { readonly en: string; readonly ko: string } | null;
    }[];
  } | null;
  readonly label: { readonly id: string } | null;
  readonly photos_used: number;
  readonly photos_left_out: number;
  readonly code?: string;
  readonly retryable?: boolean;
}

export interface Identification {
  readonly id: string;
  readonly guide: string;
  readonly status: 'waiting' | 'processing' | 'decided';
  readonly photos: readonly {
    readonly n: number;
    readonly width: number;
    readonly height: number;
    readonly state: string;
    readonly note: string | null;
    readonly url: string | null;
    readonly thumb: string | null;
  }[];
  readonly progress: { readonly done: number; readonly of: number; readonly queue_position: number | null } | null;
  readonly worker: { readonly state: string; readonly last_seen_at: string | null } | null;
  readonly outcome: Outcome | null;
  readonly feedback: { readonly verdict: string; readonly entry: string | null } | null;
  readonly share: { readonly token: string; readonly url: string; readonly photos: boolean } | null;
  readonly poll_after_ms: number | null;
}

export interface RankingPage {
  readonly window: string;
  readonly total: number;
  readonly items: readonly {
    readonly rank: number;
    readonly entry: EntrySummary;
    readonly finds: number;
    readonly views: number;
  }[];
  readonly next: string | null;
}
