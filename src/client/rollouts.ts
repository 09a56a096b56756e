/** What an administrator sees of versions, and does with them. */

export interface VersionOnWorker {
  readonly version: string;
  /** stored: it lies there and is not loaded. */
  readonly state: 'stored' | 'loading' | 'ready' | 'draining' | 'failed';
  /** It gets predictions there that name no version. */
  readonly serves: boolean;
  readonly message: string | null;
}

export interface DeployedModel {
  readonly name: string;
  readonly serving: string | null;
  readonly rollout: {
    readonly version: string;
    /** Percent; the rest is that of `previous`. */
    readonly weight: number;
    readonly previous: string | null;
    readonly state: 'loading' | 'active' | 'failed';
    readonly failure: { readonly version: string; readonly reason: string } | null;
    readonly allow_downtime: boolean;
    readonly soak_until: string | null;
    readonly changed_at: string;
    readonly changed_by: string;
  } | null;
  readonly workers: readonly {
    readonly name: string;
    readonly takes_deploy: boolean;
    readonly versions: readonly VersionOnWorker[];
  }[];
}

export interface DeployOptions {
  readonly weight?: number;
  readonly allowDowntime?: boolean;
  readonly signal?: AbortSignal;
}
