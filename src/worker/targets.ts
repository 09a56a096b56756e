/** Where a gateway is dialled. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** Gateways that a worker is told of in its settings. One is enough: they tell of the others. */
export const MAX_TARGETS = 16;
