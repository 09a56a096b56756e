/** What the gateway and its photo process say to each other. */
import type { ErrorCode } from '../../errors.ts';
import type { PreparedPhoto } from './prepare.ts';

export interface PrepareRequest {
  readonly id: number;
  readonly bytes: Uint8Array;
}

export type PrepareReply =
  | { readonly id: number; readonly type: 'prepared'; readonly prepared: PreparedPhoto }
  | { readonly id: number; readonly type: 'refused'; readonly code: ErrorCode; readonly message: string };
