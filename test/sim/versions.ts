/**
 * The versions of a simulated worker: the real rules of loading (`plan.ts`) over loads that take their time, fail, and are cut
 * short by the death of the process. What was wanted last is on the worker's disk, and outlives it.
 */
import { nextStep } from '../../src/worker/versions/plan.ts';
import type { LoadedState, Wish } from '../../src/worker/versions/plan.ts';
import type { ModelReport, ModelState, StoredVersion, WantedVersions } from '../../src/protocol/messages.ts';
import type { Random } from '../support/random.ts';

export interface ServedModel {
  readonly name: string;
  readonly version: string;
  readonly capacityRows: number;
}

export interface SimVersionsOptions {
  readonly models: readonly ServedModel[];
  /** There are two versions of it, so that somebody decides about it: only of such a model a load may fail. */
  readonly isVersioned: (name: string) => boolean;
  readonly random: Random;
  /** Runs `fn` later, if the process still lives. */
  readonly after: (delayMs: number, fn: () => void) => void;
  readonly calm: () => boolean;
  readonly busyRows: (name: string, version: string) => number;
  readonly changed: () => void;
}

interface Loaded {
  state: LoadedState;
  readonly needMb: number;
}

/** Two versions of two models fit beside each other, but not of three; when the faults are over, all do. */
const NEED_MB = 100;
const [TOTAL_MB, CALM_MB] = [450, 600];

export class SimVersions {
  readonly #o: SimVersionsOptions;
  #wishes = new Map<string, Wish>();
  #loaded = new Map<string, Map<string, Loaded>>();
  #failed = new Map<string, Set<string>>();

  constructor(options: SimVersionsOptions) {
    this.#o = options;
  }

  /** A new process: nothing is loaded, what was wanted is remembered. */
  start(): void {
    this.#loaded = new Map(this.#names().map((name) => [name, new Map<string, Loaded>()]));
    this.#failed = new Map(this.#names().map((name) => [name, new Set<string>()]));
    this.step();
  }

  want(models: readonly WantedVersions[]): void {
    for (const { name, ...wish } of models) {
      if (this.#wishes.get(name)?.revision !== wish.revision) this.#failed.get(name)?.clear();
      this.#wishes.set(name, wish);
    }
    this.step();
    this.#o.changed();
  }

  isLoaded(name: string, version: string): boolean {
    return this.#loaded.get(name)?.has(version) === true;
  }

  capacityRows({ name, version, capacityRows }: ServedModel): number {
    return this.#loaded.get(name)?.get(version)?.state === 'ready' ? capacityRows : 0;
  }

  reports(): ModelReport[] {
    return this.#o.models.flatMap(({ name, version, capacityRows: maxRows }) => {
      const state: ModelState | undefined =
        this.#loaded.get(name)?.get(version)?.state ?? (this.#failed.get(name)?.has(version) ? 'failed' : undefined);
      const wish = this.#wishes.get(name);
      const revision = wish && [...wish.versions, ...wish.standby].includes(version) ? { revision: wish.revision } : {};
      return state === undefined ? [] : [{ name, version, state, kind: 'echo', maxRows, ...revision }];
    });
  }

  stored(): StoredVersion[] {
    return this.#o.models.flatMap(({ name, version }) =>
      this.isLoaded(name, version) || this.#failed.get(name)?.has(version) ? [] : [{ name, version }],
    );
  }

  /** Something ended: what drains may be idle. */
  step(): void {
    for (const name of this.#names()) {
      const [loaded, failed] = [this.#loaded.get(name)!, this.#failed.get(name)!];
      for (const [version, { state }] of loaded) {
        if (state === 'draining' && this.#o.busyRows(name, version) === 0) loaded.delete(version);
      }
      for (let next = this.#next(name); next !== null; next = this.#next(name)) {
        const { version } = next;
        if (next.type === 'refuse') failed.add(version);
        else if (next.type === 'unload') loaded.get(version)!.state = 'draining';
        else this.#load(name, version);
      }
    }
  }

  #names(): string[] {
    return [...new Set(this.#o.models.map(({ name }) => name))];
  }

  #next(name: string): ReturnType<typeof nextStep> {
    const all = [...this.#loaded.values()].flatMap((one) => [...one.values()]);
    const totalMb = this.#o.calm() ? CALM_MB : TOTAL_MB;
    const versions = this.#o.models.filter((one) => one.name === name).map(({ version }) => version);
    return nextStep({
      stored: versions.reverse().map((version) => ({ version, needMb: NEED_MB })),
      loaded: this.#loaded.get(name)!,
      failed: this.#failed.get(name)!,
      wish: this.#wishes.get(name) ?? null,
      totalMb,
      freeMb: totalMb - all.length * NEED_MB,
      leavingMb: all.filter(({ state }) => state === 'draining').length * NEED_MB,
    });
  }

  #load(name: string, version: string): void {
    const { random, calm, after } = this.#o;
    const loaded = this.#loaded.get(name)!;
    const one: Loaded = { state: 'loading', needMb: NEED_MB };
    loaded.set(version, one);
    const isBad = random.chance(0.2) && this.#o.isVersioned(name);
    after(random.next() * (calm() ? 50 : 3_000), () => {
      if (loaded.get(version) !== one || one.state !== 'loading') return;
      if (isBad && !calm()) {
        loaded.delete(version);
        this.#failed.get(name)?.add(version);
      } else one.state = 'ready';
      this.step();
      this.#o.changed();
    });
  }
}
