/** Models that workers announced, as the store keeps them: so that a gateway that starts knows whose worker is only away. */

export interface KnownModel {
  readonly name: string;
  /** What its worker said of it last: text that the store does not read. */
  readonly report: string;
  readonly versions: readonly string[];
  /** Epoch ms. */
  readonly lastSeenAt: number;
}

/** Workers choose the names of models, so the number is bounded; the one longest unheard goes first. */
export const MAX_KNOWN_MODELS = 1_024;
/** How long a model is known after its worker was last heard. */
export const DEFAULT_MODEL_TTL_MS = 30 * 24 * 60 * 60 * 1000;
