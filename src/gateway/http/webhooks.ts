/** `/v1/webhooks`: what a receiver verifies signatures with, and what became of the deliveries. */
import type { DeliveryStatus, DeliveryView } from '../../dispatch/delivery.ts';
import { PosternError } from '../../errors.ts';
import type { Webhooks } from '../ports.ts';
import { listedCaller, type Access } from './access.ts';
import { shownDelivery } from './deliveries.ts';
import { badParameter, clip } from './parameters.ts';
import { single } from './job-query.ts';
import { json, type Answer, type Call, type Route } from './route.ts';

const STATUSES: readonly DeliveryStatus[] = ['pending', 'delivered', 'failed'];
const DEFAULT_DELIVERIES = 50;
const MAX_DELIVERIES = 500;
/** `msg_<job>_<event>`: see `deliveryId`. */
const ID = /^msg_([0-9a-f-]{36})_[a-z]+$/;

export function webhookRoutes(webhooks: Webhooks): Route[] {
  async function list(call: Call): Promise<Answer> {
    const status = single(call, 'status');
    if (status !== undefined && !isStatus(status)) {
      throw badParameter(`status is "${clip(status)}"; expected one of ${STATUSES.join(', ')}.`);
    }
    const caller = listedCaller(call.access);
    const { deliveries, next } = await webhooks.list({
      limit: parseLimit(single(call, 'limit')),
      cursor: single(call, 'cursor') ?? null,
      ...(status === undefined ? {} : { status }),
      ...(caller === undefined ? {} : { caller }),
    });
    return json(200, JSON.stringify({ results: deliveries.map(shownInList), next }));
  }

  async function resend(call: Call): Promise<Answer> {
    const id = call.params.id ?? '';
    const job = ID.exec(id)?.[1];
    const found = job === undefined ? [] : await webhooks.ofJob(job);
    const delivery = found.find((one) => one.id === id && isOwn(call.access, one));
    if (!delivery) throw new PosternError('not_found', `There is no delivery "${clip(id)}" of yours.`);
    // One that is pending is tried anyway, and one that arrived is not told twice.
    return json(200, JSON.stringify(shownInList((await webhooks.resend(id)) ?? delivery)));
  }

  return [
    {
      method: 'GET',
      path: '/v1/webhooks/default/secret',
      // Each key has a secret of its own, so it is no more than what belongs to who may ask for predictions.
      scope: 'predict',
      handle: async ({ caller }) => json(200, JSON.stringify({ key: await webhooks.secretOf(caller) })),
    },
    { method: 'GET', path: '/v1/webhooks/deliveries', scope: 'predict', handle: list },
    { method: 'POST', path: '/v1/webhooks/deliveries/:id/resend', scope: 'predict', handle: resend },
  ];
}

const shownInList = (view: DeliveryView): object => ({ ...shownDelivery(view), prediction: view.job, url: view.url });
const isStatus = (text: string): text is DeliveryStatus => (STATUSES as readonly string[]).includes(text);
const isOwn = (access: Access, { caller }: DeliveryView): boolean => access.admin || caller === access.caller;

function parseLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_DELIVERIES;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_DELIVERIES) return limit;
  throw badParameter(`limit is "${clip(text)}"; expected a whole number from 1 to ${MAX_DELIVERIES}.`);
}
