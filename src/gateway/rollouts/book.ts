/** Where rollouts are kept. A port, because a gateway keeps them in its records and the simulation on its disk. */
import type { AuditAction } from '../../identity/audit.ts';
import type { Rollout } from './rollout.ts';

export interface RolloutBook {
  get(model: string): Rollout | null;
  all(): readonly Rollout[];
  /**
   * Replaces it, durably, with what happened in the audit log (null: nothing that anybody decided). When another process was
   * faster, the record has another revision than `before` (0: there is none): then nothing is written, and false comes back.
   */
  put(rollout: Rollout, before: number, action: AuditAction | null): boolean;
  /** Called after each change, by whichever process. Returns how to end that. */
  onChange(observer: () => void): () => void;
}

/** Workers choose the names of models; only those that somebody deployed are in the book. */
export const MAX_ROLLOUTS = 1_024;

export function createMemoryBook(): RolloutBook {
  const rollouts = new Map<string, Rollout>();
  const observers = new Set<() => void>();
  return {
    get: (model) => rollouts.get(model) ?? null,
    all: () => [...rollouts.values()],
    put(rollout, before) {
      if ((rollouts.get(rollout.model)?.revision ?? 0) !== before) return false;
      rollouts.set(rollout.model, rollout);
      for (const observe of [...observers]) observe();
      return true;
    },
    onChange(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
  };
}
