/**
 * The credit of all links of a worker, in rows per model@version. Owner of: what each gateway holds as granted, what runs for
 * it, and its quota. Pure: it is told what happened, and says which grants and withdrawals are due.
 *
 *   at all times: sum over links of (in flight + granted) ≤ capacity
 *
 * or what was promised under an earlier, larger capacity. Attempts of a link that was lost go on and count; its granted
 * rows are void with its connection. Quotas of the linked gateways add up to the capacity; a gateway with more than its quota gets no
 * more, and unused rows beyond it are withdrawn, so that one with less can have them.
 *
 * Quotas begin as `share.ts` says. From then on they follow the work: a gateway that has used up its credit is lent half of the
 * unused rows of the one that has most, and lends them back in the same way. Of one version one loan is under way at a time, so
 * that rows move at most once in a round trip.
 */
import { shareRows } from './share.ts';

export interface RowsOf {
  readonly model: string;
  readonly version: string;
  readonly rows: number;
}

/** The ledger of one link. */
export interface LinkCredit {
  /** Work arrived: granted rows become rows in flight. False: it was sent beyond the credit. */
  take(model: string, version: string, rows: number): boolean;
  /** Work ended. */
  release(model: string, version: string, rows: number): void;
  /** The grants that are due now; they count as given. */
  due(): RowsOf[];
  /** What is to be withdrawn now; it counts as granted until `withdrawn`. What `due` was not asked for stays due. */
  withdrawals(): RowsOf[];
  /** The gateway gave so many rows back. */
  withdrawn(model: string, version: string, rows: number): void;
  /** Does the gateway have less than half of its rows in hand, while more could be granted? */
  readonly isPressing: boolean;
  /** A connection begins, with no credit. `gateway`: its name. `gives`: it takes `withdraw`. */
  connected(gateway: string, gives: boolean): void;
  /** The gateway assigns nothing more. */
  draining(): void;
  /** The connection is gone, and its credit void. What it brought may still run. */
  lost(): void;
  /** For good, when nothing of it runs any more. */
  close(): void;
}

export interface CreditPool {
  /** Rows that the worker takes in all; `minRows`: of the largest job that may come. */
  setCapacity(model: string, version: string, rows: number, minRows: number): void;
  /** Rows in flight, over all links. */
  busyRows(model: string, version: string): number;
  /** `wake`: something is due for this link, though it did nothing for it. */
  open(wake: () => void): LinkCredit;
  /** Asks again for rows that a gateway could not give back. Call it about once a second while there are several. */
  review(): void;
  /** Has every link look at what is due: something changed for all of them. */
  wakeAll(): void;
}

export interface CreditPoolOptions {
  /** It makes the shares of different workers different. Known once the first gateway has said it. */
  readonly worker: () => string;
}

interface Account {
  readonly model: string;
  readonly version: string;
  readonly lines: Map<Link, Line>;
  capacityRows: number;
  minRows: number;
  /** In flight and granted, over all lines. */
  usedRows: number;
}

/** What one link has of one version. */
interface Line {
  readonly link: Link;
  readonly account: Account;
  quotaRows: number;
  inFlightRows: number;
  grantedRows: number;
  /** due: a loan was decided. asked: the gateway has not answered yet, and its rows count as granted. */
  withdrawal: 'none' | 'due' | 'asked';
}

interface Link {
  readonly wake: () => void;
  /** null: it is not connected. */
  gateway: string | null;
  /** Its gateway takes work, and so it has a share. */
  takes: boolean;
  /** Its gateway gives credit back. */
  gives: boolean;
  /** Lines with something to grant or to withdraw, perhaps: a turn looks only at these. */
  readonly changed: Set<Line>;
}

export function createCreditPool({ worker }: CreditPoolOptions): CreditPool {
  const accounts = new Map<string, Account>();
  const links = new Set<Link>();
  /** Links that have a share. With one of them rows have nowhere else to go. */
  let takers = 0;

  function accountOf(model: string, version: string): Account {
    const key = `${model}@${version}`;
    let account = accounts.get(key);
    if (!account) {
      account = { model, version, lines: new Map(), capacityRows: 0, minRows: 1, usedRows: 0 };
      accounts.set(key, account);
      for (const link of links) lineOf(account, link);
    }
    return account;
  }

  function lineOf(account: Account, link: Link): Line {
    let line = account.lines.get(link);
    if (!line) {
      line = { link, account, quotaRows: 0, inFlightRows: 0, grantedRows: 0, withdrawal: 'none' };
      account.lines.set(link, line);
    }
    return line;
  }

  /** Gateways came or went, or the capacity is another. */
  function share(account: Account): void {
    const lines = [...account.lines.values()].filter(({ link }) => link.takes);
    const shares = shareRows({
      rows: account.capacityRows,
      minRows: account.minRows,
      worker: worker(),
      offer: `${account.model}@${account.version}`,
      gateways: lines.map(({ link }) => link.gateway!),
    });
    for (const line of account.lines.values()) line.quotaRows = 0;
    for (const [index, line] of lines.entries()) line.quotaRows = shares[index]!;
    touch(account);
  }

  function shareAll(): void {
    takers = 0;
    for (const { takes } of links) if (takes) takers += 1;
    for (const account of accounts.values()) share(account);
  }

  function touch(account: Account): void {
    for (const line of account.lines.values()) {
      if (line.link.gateway === null) continue;
      line.link.changed.add(line);
      line.link.wake();
    }
  }

  /** Rows are free that others may have waited for. `itsOwn`: its link looks at what is due by itself. */
  function freed(line: Line, itsOwn = true): void {
    if (itsOwn) line.link.changed.add(line);
    const { lines } = line.account;
    if (itsOwn && lines.size === 1) return;
    for (const other of lines.values()) {
      if ((itsOwn && other === line) || !other.link.takes || missing(other) <= 0) continue;
      other.link.changed.add(other);
      other.link.wake();
    }
  }

  const missing = ({ quotaRows, inFlightRows, grantedRows }: Line): number => quotaRows - inFlightRows - grantedRows;

  const grantable = (line: Line): number => Math.min(missing(line), line.account.capacityRows - line.account.usedRows);

  /** The gateway has nothing left to send with: it is lent half of what another one does not use. */
  function lend(to: Line): void {
    const { account } = to;
    let from: Line | null = null;
    for (const line of account.lines.values()) {
      if (line.withdrawal !== 'none') return;
      if (line !== to && line.link.takes && line.link.gives && line.grantedRows > (from?.grantedRows ?? 1)) from = line;
    }
    if (from === null) return;
    // It keeps half, and enough for the largest job: nobody could know that one waits there.
    const rows = Math.min(Math.floor(from.grantedRows / 2), from.quotaRows - account.minRows);
    if (rows < 1) return;
    from.quotaRows -= rows;
    to.quotaRows += rows;
    from.withdrawal = 'due';
    from.link.changed.add(from);
    from.link.wake();
  }

  function drop(line: Line): void {
    line.account.usedRows -= line.grantedRows;
    line.grantedRows = 0;
    line.withdrawal = 'none';
  }

  return {
    setCapacity(model, version, rows, minRows) {
      const account = accountOf(model, version);
      if (account.capacityRows === rows && account.minRows === minRows) return;
      account.capacityRows = rows;
      account.minRows = minRows;
      share(account);
    },
    busyRows(model, version) {
      let rows = 0;
      for (const { inFlightRows } of accounts.get(`${model}@${version}`)?.lines.values() ?? []) rows += inFlightRows;
      return rows;
    },
    open(wake) {
      const link: Link = { wake, gateway: null, takes: false, gives: false, changed: new Set() };
      links.add(link);
      for (const account of accounts.values()) lineOf(account, link);

      function takesNoMore(): void {
        if (!link.takes) return;
        link.takes = false;
        shareAll();
      }

      return {
        take(model, version, rows) {
          const line = accounts.get(`${model}@${version}`)?.lines.get(link);
          if (line === undefined || line.grantedRows < rows) return false;
          line.grantedRows -= rows;
          line.inFlightRows += rows;
          if (takers > 1 && link.takes && line.grantedRows < line.account.minRows) lend(line);
          return true;
        },
        release(model, version, rows) {
          const line = accounts.get(`${model}@${version}`)?.lines.get(link);
          if (line === undefined) return;
          line.inFlightRows -= rows;
          line.account.usedRows -= rows;
          freed(line);
        },
        due() {
          const grants: RowsOf[] = [];
          for (const line of link.changed) {
            const { account } = line;
            const rows = grantable(line);
            if (rows <= 0) continue;
            line.grantedRows += rows;
            account.usedRows += rows;
            grants.push({ model: account.model, version: account.version, rows });
          }
          return grants;
        },
        withdrawals() {
          const wanted: RowsOf[] = [];
          for (const line of link.changed) {
            const { account } = line;
            // Unless nothing may be granted now: then its next turn finds it again.
            if (grantable(line) <= 0) link.changed.delete(line);
            const rows = Math.min(-missing(line), line.grantedRows);
            if (line.withdrawal === 'asked' || !link.gives || takers < (link.takes ? 2 : 1)) continue;
            line.withdrawal = rows > 0 ? 'asked' : 'none';
            if (rows > 0) wanted.push({ model: account.model, version: account.version, rows });
          }
          return wanted;
        },
        withdrawn(model, version, rows) {
          const line = accounts.get(`${model}@${version}`)?.lines.get(link);
          if (line?.withdrawal !== 'asked') return;
          const given = Math.min(rows, line.grantedRows);
          line.withdrawal = 'none';
          line.grantedRows -= given;
          line.account.usedRows -= given;
          // What it did not give is in use: it is not asked again at once, but when something ends there, or by `review`.
          // What it gave may be its own again by now.
          freed(line, false);
        },
        get isPressing() {
          for (const { grantedRows, quotaRows } of link.changed) if (grantedRows * 2 < quotaRows) return true;
          return false;
        },
        connected(gateway, gives) {
          link.gateway = gateway;
          link.takes = true;
          link.gives = gives;
          for (const account of accounts.values()) drop(lineOf(account, link));
          shareAll();
        },
        draining: takesNoMore,
        lost() {
          for (const account of accounts.values()) drop(lineOf(account, link));
          link.gateway = null;
          link.takes = false;
          link.changed.clear();
          shareAll();
        },
        close() {
          links.delete(link);
          for (const account of accounts.values()) {
            const { inFlightRows, grantedRows } = lineOf(account, link);
            account.usedRows -= inFlightRows + grantedRows;
            account.lines.delete(link);
          }
        },
      };
    },
    wakeAll() {
      for (const { wake } of links) wake();
    },
    review() {
      if (takers < 2) return;
      for (const { lines } of accounts.values()) {
        for (const line of lines.values()) {
          if (line.link.gateway === null || line.withdrawal !== 'none') continue;
          if (line.grantedRows === 0 || missing(line) >= 0) continue;
          line.link.changed.add(line);
          line.link.wake();
        }
      }
    },
  };
}
