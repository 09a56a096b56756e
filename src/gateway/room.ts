/** What a gateway's own workers could do with a request for a model. */
import type { ModelReport } from '../protocol/messages.ts';

export interface ReportedModel {
  readonly report: ModelReport;
  /** A connected worker serves it. */
  readonly ready: boolean;
  /** And has a row of credit left. */
  readonly isFree: boolean;
}

/** What this gateway's own workers could do with a request: one at once, later, or they do not serve it. */
export type Room = 'free' | 'busy' | 'none';

export const roomOf = (reported: ReportedModel | null): Room =>
  reported?.ready !== true ? 'none' : reported.isFree ? 'free' : 'busy';
