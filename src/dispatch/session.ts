/** What the dispatcher keeps for one session, one version that it offers, one attempt that it holds, one open question. */
import type { ModelReport } from '../protocol/messages.ts';
import type { Candidate } from './choose.ts';
import { newCredit } from './credits.ts';
import type { Fence, SessionId } from './job.ts';
import type { Shares } from './shares.ts';

export type CancelReason = 'caller' | 'deadline' | 'stale' | 'drain';

/** One version of a model on one session. */
export interface Offer extends Candidate {
  readonly session: Session;
  readonly model: string;
  readonly version: string;
  /** null: not announced now (credit may still be outstanding). */
  report: ModelReport | null;
  /** The demand's generation in which the store had nothing for this offer: asking again before it changes is useless. */
  exhaustedAt: number;
  /** The next ask takes all free rows: the first waiting job is larger than what was dealt. */
  asksAll: boolean;
  /** The same for jobs that must run alone. */
  soloExhaustedAt: number;
  /** It found work, but the first waiting job is larger than all that is free: a grant makes it ask again. */
  waitsForCredit: boolean;
  /** The version of the model's route for whose share it takes work that names none; '': there is no route. null: it takes
   * only what names its own version. */
  servesFor: string | null;
}

export interface Flight {
  readonly fence: Fence;
  readonly offer: Offer;
  readonly rows: number;
  /** Monotonic. */
  readonly assignedAt: number;
  /** How long the job waited before. */
  readonly queueMs: number;
  /** Why the worker was told to stop, if it was. */
  canceled: CancelReason | null;
}

export interface Session {
  readonly id: SessionId;
  readonly worker: string;
  /** Grows with every connection: an answer to a question of an older one finds its credit void. */
  epoch: number;
  state: 'connected' | 'draining' | 'away';
  /** Was it draining when its link was lost? */
  wasDraining: boolean;
  /** Monotonic; of meaning while away. */
  awaySince: number;
  /** free + reserved of all offers. */
  creditRows: number;
  /** null: it takes work as it comes. Otherwise it is kept for a job of this model that must run alone. */
  solo: { readonly demand: Demand; readonly state: 'clearing' | 'asking' | 'running' } | null;
  readonly offers: Offer[];
  readonly flights: Set<Flight>;
}

/** A model's waiting work, as it is believed to be: see `demand.ts`. */
export interface Demand {
  readonly model: string;
  /** Rows believed to wait that nobody has asked for yet. */
  rows: number;
  /** Jobs believed to wait that must run alone. */
  soloJobs: number;
  /** The session that is kept for one of these. */
  soloSession: Session | null;
  /** Rows believed to wait that name a version, for those that serve nobody else. */
  readonly named: Map<string, number>;
  /** How the rest is divided; null: one version takes all of it. */
  shares: Shares | null;
  /** Grows with every arrival: an offer that found nothing asks again in a later generation only. */
  generation: number;
  /** Offers that are ready, whatever the state of their sessions. */
  readonly offers: Set<Offer>;
}

/** A question to the store: rows for one offer. */
export interface Ask {
  readonly offer: Offer;
  readonly epoch: number;
  readonly generation: number;
  readonly maxRows: number;
  readonly capacityRows: number;
  /** One job that must run alone, and no other. */
  readonly solo: boolean;
  /** Only jobs that name the offer's version. */
  readonly namedOnly: boolean;
}

export function newSession(id: SessionId, worker: string): Session {
  return {
    id,
    worker,
    epoch: 1,
    state: 'connected',
    wasDraining: false,
    awaySince: 0,
    creditRows: 0,
    solo: null,
    offers: [],
    flights: new Set(),
  };
}

export function newOffer(session: Session, model: string, version: string): Offer {
  return {
    session,
    model,
    version,
    credit: newCredit(),
    roomRows: 0,
    askRows: 0,
    report: null,
    exhaustedAt: -1,
    soloExhaustedAt: -1,
    asksAll: false,
    waitsForCredit: false,
    servesFor: null,
  };
}
