/** `/v1/webhooks/default/secret`, as Replicate has it: what a receiver verifies signatures with. */
import { json, type Route } from './route.ts';

export interface WebhookRoutesOptions {
  /** The caller's own secret, `whsec_…`. */
  readonly secretOf: (caller: string) => Promise<string>;
}

export function webhookRoutes({ secretOf }: WebhookRoutesOptions): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/webhooks/default/secret',
      // Each key has a secret of its own, so it is no more than what belongs to who may ask for predictions.
      scope: 'predict',
      handle: async ({ caller }) => json(200, JSON.stringify({ key: await secretOf(caller) })),
    },
  ];
}
