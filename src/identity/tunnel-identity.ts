/**
 * Everything that the tunnel port knows about identity, kept up to date while it runs: its own certificate (renewed, or
 * replaced on the disk), the trusted authorities, who may connect, who gets a certificate. Owner of: the present {@link Pki}.
 */
import type { Clock, Timer } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { createService } from '../service.ts';
import type { Service } from '../service.ts';
import { createAccess } from './access.ts';
import type { WorkerAccess } from './access.ts';
import { openAuthorities } from './authorities.ts';
import { createEnrolment } from './enrolment.ts';
import type { Enrolment } from './enrolment.ts';
import type { NameRule } from './peer.ts';
import { openOwnPki, readForeignPki } from './pki.ts';
import type { Pki, TlsFiles } from './pki.ts';
import type { Records } from './records.ts';
import { openWorkers } from './workers.ts';
import type { Workers } from './workers.ts';

/** What the listener needs. */
export interface TunnelIdentity {
  readonly tls: TlsFiles;
  /** Called when `tls` is another than before. Returns how to end that. */
  onTls(observer: () => void): () => void;
  readonly access: WorkerAccess;
  readonly enrolment: Enrolment;
}

export interface TunnelIdentityOptions {
  readonly records: Records;
  /** `<data dir>/identity`. */
  readonly folder: string;
  /** Names and addresses under which the gateway is reached. */
  readonly hosts: readonly string[];
  /** The folder with another authority's files, and how these name workers; null: an own authority. */
  readonly foreign: { readonly folder: string; readonly names: Exclude<NameRule, 'own'> } | null;
  readonly certificateTtlMs: number;
  readonly renewalGraceMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface OpenTunnelIdentity extends TunnelIdentity, Service {
  readonly pki: Pki;
  readonly workers: Workers;
  /** Looks at once whether files or authorities have changed. */
  refresh(): Promise<void>;
}

/** A certificate of an own authority is renewed months before its end; another authority's files may change at any time. */
const REFRESH_MS = 60_000;

/** Rejects with config_invalid when a file cannot be used. `start` begins to follow the records, which somebody else watches. */
export async function openTunnelIdentity(options: TunnelIdentityOptions): Promise<OpenTunnelIdentity> {
  const { records, folder, hosts, foreign, clock, logger } = options;
  const authorities = openAuthorities(records);
  const workers = openWorkers(records);
  const open = (): Promise<Pki> =>
    foreign === null ? openOwnPki({ folder, hosts, clock, authorities }) : readForeignPki(foreign.folder);
  const observers = new Set<() => void>();
  let pki = await open();
  let numbers = authorities.numbers.value;
  let refreshing: Promise<void> | null = null;
  let timer: Timer | undefined;
  let endWatch: () => void = () => undefined;

  async function reopen(): Promise<void> {
    try {
      const opened = await open();
      const before = JSON.stringify(pki.tls);
      pki = opened;
      if (JSON.stringify(pki.tls) === before) return;
      logger.info('certificates of the tunnel port changed', { trusted: pki.tls.trustPems.length });
      for (const observe of [...observers]) observe();
    } catch (error) {
      // Files that are half replaced are read again at the next look; what was in force stays.
      logger.error('certificates cannot be read anew', { error });
    } finally {
      refreshing = null;
    }
  }

  const refresh = (): Promise<void> => (refreshing ??= reopen());
  const service = createService({
    start() {
      timer = clock.every(REFRESH_MS, () => void refresh());
      endWatch = records.onChange(() => {
        const { present, next } = authorities.numbers.value;
        if (present === numbers.present && next === numbers.next) return;
        numbers = authorities.numbers.value;
        void (refreshing ?? Promise.resolve()).then(refresh);
      });
      return Promise.resolve();
    },
    async stop() {
      timer?.cancel();
      endWatch();
      await refreshing;
    },
  });

  return {
    ...service,
    get tls() {
      return pki.tls;
    },
    get pki() {
      return pki;
    },
    workers,
    refresh,
    onTls(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
    access: createAccess({ workers, authorities, rule: foreign?.names ?? 'own', clock }),
    enrolment:
      foreign === null
        ? createEnrolment({
            workers,
            pki: () => pki,
            clock,
            certificateTtlMs: options.certificateTtlMs,
            renewalGraceMs: options.renewalGraceMs,
          })
        : refuseEnrolment,
  };
}

/** With another authority's certificates nobody joins or renews here. */
const notHere = (): Promise<never> =>
  Promise.reject(
    new PosternError('enrolment_refused', 'this gateway uses the certificates of another authority: ask that one'),
  );
const refuseEnrolment: Enrolment = { join: notHere, renew: notHere };
