/**
 * Ends on their way to a gateway: sent at once, kept until acked, and sent again after a reconnect, by another link, or by the
 * next run of the worker. Owner of what is written to the spool and when, and of when it is over with earlier runs.
 *
 * It writes behind: only what was not acked within {@link SPOOL_TICKS} ticks is written, all of that in one file with one
 * flush. So a link that works costs the disk nothing, and an end no more than a number.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Connection } from '../protocol/connection.ts';
import type { Message } from '../protocol/messages.ts';
import { keptOf } from './attempts.ts';
import type { Attempts, Kept } from './attempts.ts';
import type { Attempt, AttemptEnd } from './ports.ts';
import type { Spool } from './spool.ts';
import type { SpooledEnd } from './spool-file.ts';

/** An ack takes a round trip and a flush of the gateway's disk. Longer than 50 to 100 ms, and the link is slow or gone. */
const TICK_MS = 50;
const SPOOL_TICKS = 2;
/** A disk that failed is tried again after so many. */
const RETRY_TICKS = 100;
/** Of ends in one file, unless one alone is larger. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
/** What an end costs beside its payload. */
const END_BYTES = 1_024;
/** A hello names at most so many. What runs before them left is sent too; its fence will mostly be void. */
const MAX_PREVIOUS = 8;

export interface OutboxOptions {
  readonly attempts: Attempts;
  /** Of the link that it belongs to. */
  readonly session: string;
  /** null: what is not acked dies with the process. */
  readonly spool: Spool | null;
  readonly clock: Clock;
  /** Sends if there is a connection; returns the data connection that it chose. */
  readonly send: (message: Message, payload: Uint8Array | undefined) => Connection | null;
}

export interface Outbox {
  /** Takes in what earlier runs left. */
  open(): Promise<void>;
  /** Earlier runs with ends that are not acked. */
  previous(): readonly string[];
  end(attempt: Attempt, how: Exclude<AttemptEnd, { type: 'canceled' }>, maxOutputBytes: number): void;
  /** A new connection: everything that is not acked is sent again. */
  resend(): void;
  /** What this data connection carried is sent again. */
  lost(connection: Connection): void;
  /** There is no connection, so no ack will come: what is not written is written now. */
  disconnected(): void;
  /** False: it is not kept here. */
  acked(attempt: Attempt): boolean;
  /** Takes in ends of another outbox, without sending them. */
  keep(ends: readonly Kept[]): void;
  /** The same, and sends them if it can. */
  take(ends: readonly Kept[]): void;
  /** Hands out those that `which` names, as if they had never been here. */
  handOut(which: (kept: Kept) => boolean): Kept[];
  /** Writes the rest. */
  stop(): Promise<void>;
}

export function createOutbox({ attempts, session, spool, clock, send }: OutboxOptions): Outbox {
  /** Unacked ends by earlier run. */
  const earlier = new Map<string, number>();
  let tick = 0;
  let ticking: Timer | null = null;
  let writing: Promise<void> | null = null;
  /** The tick from which on the disk may be tried again. */
  let notBefore = 0;

  function transmit(kept: Kept): void {
    kept.via = send(kept.message, kept.payload);
  }

  function watch(): void {
    if (spool !== null) ticking ??= clock.every(TICK_MS, onTick);
  }

  function onTick(): void {
    tick += 1;
    writeThose(tick - SPOOL_TICKS);
    if (attempts.keptCount > 0) return;
    ticking?.cancel();
    ticking = null;
  }

  function keep(ends: readonly Kept[]): void {
    for (const kept of ends) {
      // It has waited long enough, and ticks are counted differently elsewhere.
      kept.tick = 0;
      attempts.keep(kept);
    }
    if (ends.length > 0) watch();
  }

  /** One file at a time; what became due meanwhile goes into the next. */
  function writeThose(upTo: number): void {
    if (spool === null || writing !== null || tick < notBefore) return;
    const due = takeDue(upTo);
    if (due.length === 0) return;
    writing = write(spool, due)
      .then((written) => {
        if (!written) notBefore = tick + RETRY_TICKS;
      })
      .finally(() => {
        writing = null;
      });
  }

  /** In the order of their ends, so the first that is too young is followed by none that is not. */
  function takeDue(upTo: number): Kept[] {
    const due: Kept[] = [];
    let bytes = 0;
    for (const kept of attempts.kept()) {
      if (kept.file !== null) continue;
      if (kept.tick > upTo) break;
      bytes += END_BYTES + (kept.payload?.byteLength ?? 0);
      if (due.length > 0 && bytes > MAX_FILE_BYTES) break;
      due.push(kept);
    }
    return due;
  }

  async function write(to: Spool, due: readonly Kept[]): Promise<boolean> {
    const file = await to.write(due.map((kept) => spooledOf(kept, session)));
    if (file === null) return false;
    let acked = 0;
    for (const kept of due) {
      // Written twice if it went from one outbox to another meanwhile: one file is enough.
      if (kept.acked || kept.file !== null) acked += 1;
      else kept.file = file;
    }
    if (acked > 0) to.release(file, acked);
    return true;
  }

  return {
    async open() {
      for (const { end, file } of (await spool?.open()) ?? []) {
        attempts.keep({ ...end, via: null, tick: 0, acked: false, file });
        const of = end.message.session;
        earlier.set(of, (earlier.get(of) ?? 0) + 1);
      }
      if (attempts.keptCount > 0) watch();
    },
    previous: () => [...earlier.keys()].slice(-MAX_PREVIOUS),
    end(attempt, how, maxOutputBytes) {
      const kept = keptOf(attempt, how, maxOutputBytes, tick);
      attempts.keep(kept);
      transmit(kept);
      watch();
    },
    resend() {
      for (const kept of attempts.kept()) transmit(kept);
    },
    lost(connection) {
      for (const kept of attempts.kept()) if (kept.via === connection) transmit(kept);
    },
    disconnected() {
      writeThose(tick);
    },
    acked(attempt) {
      const kept = attempts.forget(attempt);
      if (kept === undefined) return false;
      kept.acked = true;
      if (kept.file !== null) spool?.release(kept.file, 1);
      const of = kept.message.session;
      const known = of === undefined ? undefined : earlier.get(of);
      if (of === undefined || known === undefined) return true;
      earlier.set(of, known - 1);
      if (known > 1) return true;
      earlier.delete(of);
      // Lost with the connection, it is as good as said: the lease of that run ends by itself.
      send({ type: 'gone', session: of }, undefined);
      return true;
    },
    keep,
    take(ends) {
      keep(ends);
      ends.forEach(transmit);
    },
    handOut(which) {
      const out = [...attempts.kept()].filter(which);
      for (const { message } of out) attempts.forget(message);
      return out;
    },
    async stop() {
      ticking?.cancel();
      await writing;
      if (spool === null) return;
      for (let due = takeDue(Infinity); due.length > 0; due = takeDue(Infinity)) {
        if (!(await write(spool, due))) return;
      }
    },
  };
}

function spooledOf({ message, payload }: Kept, session: string): SpooledEnd {
  return { message: { ...message, session: message.session ?? session }, payload };
}
