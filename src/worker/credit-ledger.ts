/**
 * Credit, as the worker counts it, in rows per model@version. The executor says how many rows it takes in all (capacity);
 * capacity = in flight + granted, so what is to be granted is the difference. Credit once granted is never taken back:
 * a lowered capacity holds back grants until the granted rows were used.
 */

interface Account {
  readonly model: string;
  readonly version: string;
  capacityRows: number;
  inFlightRows: number;
  grantedRows: number;
}

export interface Grant {
  readonly model: string;
  readonly version: string;
  readonly rows: number;
}

export interface CreditLedger {
  setCapacity(model: string, version: string, rows: number): void;
  /** Work arrived: granted rows become rows in flight. False: it was sent beyond the credit. */
  take(model: string, version: string, rows: number): boolean;
  /** Work ended: its rows may be granted again. */
  release(model: string, version: string, rows: number): void;
  /** Rows that are in flight. */
  busyRows(model: string, version: string): number;
  /** The grants that are due now; they count as given. */
  due(): Grant[];
  /** Does the gateway have less than half of a model's rows in hand, while more could be granted? */
  readonly isPressing: boolean;
  /** A new connection: credit granted on the old one is void. */
  restart(): void;
}

export function createCreditLedger(): CreditLedger {
  const accounts = new Map<string, Account>();
  /** Accounts that may have something to grant, so that a turn looks only at those that changed. */
  const changed = new Set<Account>();

  function accountOf(model: string, version: string): Account {
    const key = `${model}@${version}`;
    let account = accounts.get(key);
    if (!account) {
      account = { model, version, capacityRows: 0, inFlightRows: 0, grantedRows: 0 };
      accounts.set(key, account);
    }
    return account;
  }

  return {
    setCapacity(model, version, rows) {
      const account = accountOf(model, version);
      account.capacityRows = rows;
      changed.add(account);
    },
    take(model, version, rows) {
      const account = accounts.get(`${model}@${version}`);
      if (!account || account.grantedRows < rows) return false;
      account.grantedRows -= rows;
      account.inFlightRows += rows;
      return true;
    },
    release(model, version, rows) {
      const account = accountOf(model, version);
      account.inFlightRows -= rows;
      changed.add(account);
    },
    busyRows: (model, version) => accounts.get(`${model}@${version}`)?.inFlightRows ?? 0,
    due() {
      const grants: Grant[] = [];
      for (const account of changed) {
        const rows = account.capacityRows - account.inFlightRows - account.grantedRows;
        if (rows <= 0) continue;
        account.grantedRows += rows;
        grants.push({ model: account.model, version: account.version, rows });
      }
      changed.clear();
      return grants;
    },
    get isPressing() {
      for (const { grantedRows, capacityRows } of changed) if (grantedRows * 2 < capacityRows) return true;
      return false;
    },
    restart() {
      for (const account of accounts.values()) {
        account.grantedRows = 0;
        changed.add(account);
      }
    },
  };
}
