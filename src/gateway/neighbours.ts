/** What workers are told of the gateways that they are to dial. */
import { MAX_GATEWAYS } from '../protocol/limits.ts';
import type { MessageOf } from '../protocol/messages.ts';

/** The gateways that share a store, this one included. */
export interface Neighbours {
  readonly list: readonly {
    readonly id: string;
    readonly state: 'serving' | 'draining';
    /** `host:port` that leads to it and to no other; null: there is none. */
    readonly tunnelAddress: string | null;
  }[];
  /** Returns what ends that. */
  onChange(observer: () => void): () => void;
}

/** One that drains is left out: nobody is to come to it any more. Who is there already stays until it is told. */
export function gatewaysMessage({ list }: Neighbours): MessageOf<'gateways'> {
  const serving = list.filter(({ state }) => state === 'serving').slice(0, MAX_GATEWAYS);
  return {
    type: 'gateways',
    gateways: serving.map(({ id, tunnelAddress }) =>
      tunnelAddress === null ? { id } : { id, address: tunnelAddress },
    ),
  };
}
