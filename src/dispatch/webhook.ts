/** Who wants to be told of a job, and of what. */

/** start: a worker took it for the first time. completed: it is decided. */
export type WebhookEvent = 'start' | 'completed';

export interface Webhook {
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  /** Base of the links in what is sent: the name under which the caller found the gateway. */
  readonly base: string;
}
