/** What a driver of the store needs of a blob store: the gateway gives it one. Keys are made of the content. */
export interface PayloadBlobs {
  /** Resolves when the content is durable. */
  put(content: Uint8Array): Promise<string>;
  get(key: string): Promise<Uint8Array | null>;
  removeUnused(
    key: string,
    options: { putBefore: number; isUsed: (key: string) => Promise<boolean> },
  ): Promise<boolean>;
  has(key: string): Promise<boolean>;
  /** `putAt`: epoch ms. */
  list(after: string | null, limit: number): Promise<readonly { readonly key: string; readonly putAt: number }[]>;
}

/** Payloads beyond this go to a blob: rows of many pages make every other row slower to reach. */
export const MAX_INLINE_BYTES = 64 * 1024;
