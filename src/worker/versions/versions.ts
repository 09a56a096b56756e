/**
 * Owner of which versions of which models are loaded: brings what is there in step with what is wanted, one step at a time
 * (`plan.ts`), whenever something changed. Memory that a version reserves is given back when nothing of it is left.
 */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { ModelReport, StoredVersion, WantedVersions } from '../../protocol/messages.ts';
import type { RepositoryEntry } from '../repository.ts';
import type { ModelEntry } from '../served.ts';
import type { ServedModel } from '../served-batch.ts';
import { nextStep } from './plan.ts';
import type { Step, Wish } from './plan.ts';
import { Slot } from './slot.ts';

export interface VersionsOptions {
  readonly memoryMb: number;
  readonly drainMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes what serves a version; `onChange` is to be called when its report or its capacity is another. */
  readonly create: (entry: ModelEntry, onChange: () => void) => ServedModel;
  readonly busyRows: (model: string, version: string) => number;
  /** What is announced is another than before; with the version whose capacity may be. */
  readonly onChange: (slot: Slot | null) => void;
}

/** One model. */
interface Shelf {
  readonly name: string;
  /** Newest first. */
  entries: readonly RepositoryEntry[];
  wish: Wish | null;
  readonly slots: Map<string, Slot>;
  readonly failed: Map<string, ModelReport>;
}

export class Versions {
  readonly #options: VersionsOptions;
  readonly #shelves = new Map<string, Shelf>();
  readonly #wishedFor = new Set<string>();
  /** Drains that are under way. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #settled = Promise.withResolvers<void>();
  #isStopped = false;
  #isStarted = false;
  /** A step in progress makes others: they are taken when it is done. */
  #isStepping = false;

  constructor(options: VersionsOptions) {
    this.#options = options;
  }

  /** Resolves when, for the first time, nothing is loading any more. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** What can be given work. */
  find(model: string, version: string): Slot | undefined {
    const slot = this.#shelves.get(model)?.slots.get(version);
    return slot?.isStopping ? undefined : slot;
  }

  /** Is it one of this worker's, loaded or not? */
  isKnown(model: string, version: string): boolean {
    const shelf = this.#shelves.get(model);
    return shelf?.slots.has(version) === true || shelf?.entries.some((one) => one.version === version) === true;
  }

  reports(): ModelReport[] {
    return [...this.#shelves.values()].flatMap(({ slots, failed, wish }) =>
      [...[...slots.values()].map((slot) => slot.report()), ...failed.values()].map((report) => {
        if (wish === null) return report;
        const isNamed = wish.versions.includes(report.version) || wish.standby.includes(report.version);
        return isNamed ? { ...report, revision: wish.revision } : report;
      }),
    );
  }

  stored(): StoredVersion[] {
    return [...this.#shelves.values()].flatMap(({ name, entries, slots, failed }) =>
      entries
        .filter(({ version }) => !slots.has(version) && !failed.has(version))
        .map(({ version }) => ({
          name,
          version,
          ...(this.#wishedFor.has(`${name}@${version}`) ? { wish: true } : {}),
        })),
    );
  }

  /** What lies in the repository now. `changed`: folders that are others than before: what failed there is tried again. */
  setEntries(entries: readonly RepositoryEntry[], changed: ReadonlySet<string> = new Set(), wish = false): void {
    const byName = Map.groupBy(entries, ({ name }) => name);
    for (const [name, list] of byName) this.#shelfOf(name).entries = list;
    for (const shelf of this.#shelves.values()) {
      const list = byName.get(shelf.name) ?? [];
      shelf.entries = list;
      for (const version of shelf.failed.keys()) {
        const entry = list.find((one) => one.version === version);
        if (entry === undefined || changed.has(`${shelf.name}@${version}`)) shelf.failed.delete(version);
      }
      for (const entry of list) if (entry.type === 'broken') this.#fail(shelf, entry, entry.error);
    }
    if (wish) for (const key of changed) this.#wishedFor.add(key);
    this.#isStarted = true;
    this.#step();
    this.#changed(null);
  }

  /** What the gateway decided. Of models that it does not name the newest version serves, as far as nothing is loaded yet. */
  setWishes(models: readonly WantedVersions[]): void {
    const wishes = new Map(models.map((one) => [one.name, one]));
    for (const { name } of models) this.#shelfOf(name);
    for (const shelf of this.#shelves.values()) {
      const wish = wishes.get(shelf.name) ?? null;
      if (wish !== null && wish.revision !== shelf.wish?.revision) this.#tryAgain(shelf, wish);
      shelf.wish = wish;
    }
    this.#step();
    if (this.#isStarted) this.#changed(null);
  }

  freed(model: string, version: string): void {
    const slot = this.find(model, version);
    if (slot?.isDraining) slot.freed();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#settled.resolve();
    const slots = [...this.#shelves.values()].flatMap((shelf) => [...shelf.slots.values()]);
    await Promise.all([...slots.map((slot) => slot.stop()), ...this.#leaving]);
  }

  #shelfOf(name: string): Shelf {
    let shelf = this.#shelves.get(name);
    if (!shelf) {
      shelf = { name, entries: [], wish: null, slots: new Map(), failed: new Map() };
      this.#shelves.set(name, shelf);
    }
    return shelf;
  }

  #tryAgain(shelf: Shelf, { versions }: Wish): void {
    for (const version of versions) {
      const entry = shelf.entries.find((one) => one.version === version);
      if (entry?.type === 'model') shelf.failed.delete(version);
    }
  }

  /** Takes steps until there is none to take. */
  #step(): void {
    if (this.#isStepping || this.#isStopped || !this.#isStarted) return;
    this.#isStepping = true;
    for (const shelf of this.#shelves.values()) {
      for (let step = this.#next(shelf); step !== null; step = this.#next(shelf)) this.#take(shelf, step);
    }
    this.#isStepping = false;
    const loading = [...this.#shelves.values()].some(({ slots }) => [...slots.values()].some((one) => !one.isStarted));
    if (!loading) this.#settled.resolve();
  }

  #next({ entries, slots, failed, wish }: Shelf): Step | null {
    const all = [...this.#shelves.values()].flatMap((shelf) => [...shelf.slots.values()]);
    const sum = (of: readonly Slot[]): number => of.reduce((mb, { needMb }) => mb + needMb, 0);
    return nextStep({
      stored: entries.flatMap((one) =>
        one.type === 'model' ? [{ version: one.version, needMb: one.manifest.memory_mb }] : [],
      ),
      loaded: slots,
      failed: new Set(failed.keys()),
      wish,
      totalMb: this.#options.memoryMb,
      freeMb: this.#options.memoryMb - sum(all),
      leavingMb: sum(all.filter((slot) => slot.isDraining)),
    });
  }

  #take(shelf: Shelf, step: Step): void {
    const entry = shelf.entries.find(({ version }) => version === step.version);
    if (step.type === 'unload') this.#unload(shelf, step.version);
    else if (entry?.type !== 'model') throw new Error(`${shelf.name}@${step.version} is not in the repository`);
    else if (step.type === 'load') this.#load(shelf, entry);
    else this.#fail(shelf, entry, new PosternError('model_invalid', step.reason));
  }

  #load(shelf: Shelf, entry: ModelEntry): void {
    const { clock, drainMs, logger } = this.#options;
    const { name, version } = entry;
    const onChange = (): void => {
      if (shelf.slots.get(version) !== slot) return;
      this.#changed(slot);
      this.#step();
    };
    const slot: Slot = new Slot({
      entry,
      model: this.#options.create(entry, onChange),
      clock,
      drainMs,
      busyRows: () => this.#options.busyRows(name, version),
    });
    shelf.slots.set(version, slot);
    this.#wishedFor.delete(`${name}@${version}`);
    this.#changed(null);
    slot.start().then(
      () => {
        const report = slot.model.report();
        if (report.state === 'failed' && shelf.slots.get(version) === slot) {
          // A model that failed has let go of everything already.
          shelf.slots.delete(version);
          shelf.failed.set(version, report);
        }
        this.#step();
        this.#changed(slot);
      },
      (thrown: unknown) => {
        logger.error('loading a model failed', { model: name, version, reason: (thrown as Error).message });
      },
    );
  }

  /** It is draining from here on. What is on its way to it is still taken, until nothing runs. */
  #unload(shelf: Shelf, version: string): void {
    const slot = shelf.slots.get(version);
    if (!slot) return;
    const fields = { model: shelf.name, version };
    this.#options.logger.info('version drains', fields);
    const left = slot.drained().then(async () => {
      if (this.#isStopped) return;
      await slot.stop();
      shelf.slots.delete(version);
      this.#leaving.delete(left);
      this.#options.logger.info('version unloaded', fields);
      this.#step();
      this.#changed(null);
    });
    this.#leaving.add(left);
    this.#changed(slot);
  }

  #fail(shelf: Shelf, { version, ...entry }: RepositoryEntry, error: PosternError): void {
    const fields = { model: shelf.name, version, code: error.code, reason: error.message };
    const message = error.message.slice(0, 2_000);
    const kind = entry.type === 'model' ? entry.manifest.kind : 'unknown';
    if (shelf.failed.get(version)?.message !== message)
      this.#options.logger.error('model folder cannot be used', fields);
    shelf.failed.set(version, { name: shelf.name, version, kind, state: 'failed', maxRows: 1, message });
  }

  #changed(slot: Slot | null): void {
    if (!this.#isStopped) this.#options.onChange(slot);
  }
}
