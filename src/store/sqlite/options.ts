/** What the SQLite driver can be told, and what its writer gets of it. */
export interface SqliteLimits {
  /** Waiting jobs per model; more are refused with queue_full. */
  readonly queueLimitJobs: number;
  readonly maxAttempts: number;
  /** How long a job without a deadline waits before it is aborted. */
  readonly waitTtlMs: number;
  /** How long a result is kept. Costs disk: the outputs of that long. */
  readonly resultTtlMs: number;
  /** How long a job with an idempotency key is kept, with its key. */
  readonly idempotencyTtlMs: number;
  /** Decided jobs kept at most, whatever their age; sweeps forget the oldest first, their keys with them. */
  readonly maxResults: number;
  readonly maxResultBytes: number;
  /** How long a model is known after its worker was last heard. */
  readonly modelTtlMs: number;
  /** Inputs of all undecided jobs; beyond it new jobs are refused with overloaded. */
  readonly maxInputBytes: number;
  /** Inputs of failed jobs, kept for another try; beyond it those of the oldest go. 0: none are kept. */
  readonly maxFailedInputBytes: number;
  /** Webhooks that wait to be delivered; beyond it jobs with one are refused with overloaded. */
  readonly maxDeliveries: number;
  /** Outputs that are kept for those that are not delivered; beyond it they are left out. */
  readonly maxDeliveryBytes: number;
  /** What a session that held attempts is given when this process starts. */
  readonly leaseMs: number;
}

export interface WriterOptions extends SqliteLimits {
  readonly path: string;
}
