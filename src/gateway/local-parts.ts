/** What lies on one machine although gateways share a database, as `/readyz` names it. */
import type { OpenTunnelIdentity } from '../identity/tunnel-identity.ts';

export type LocalPart = 'files' | 'photos' | 'webhook_keys';

export interface HasLocalParts {
  /** What of it other gateways would have to share and cannot: it lies on this machine. */
  readonly local?: readonly LocalPart[];
}

/** Where there is a database: what is a file here all the same, for want of a bucket, or of a key that all gateways have. */
export function localParts(
  { blobs }: { readonly blobs: object | null },
  { pki }: Pick<OpenTunnelIdentity, 'pki'>,
): LocalPart[] {
  return [
    ...(blobs === null ? (['files'] as const) : []),
    ...(pki.authorities.length === 0 ? (['webhook_keys'] as const) : []),
  ];
}
