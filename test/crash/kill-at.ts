/**
 * Loaded before the product (`node --import`), in each of its threads: kills the process with SIGKILL when it passes a named
 * point for the nth time. It stands in front of the calls of Node that the product commits, flushes and sends with, so the
 * product needs no line for it, and runs as it is.
 */
import fs from 'node:fs';
import fsPromises from 'node:fs/promises';
import { ServerResponse } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';
import process from 'node:process';
import { StatementSync } from 'node:sqlite';
import { TLSSocket } from 'node:tls';
import { KILL_AT, type KillPoint } from './points.ts';

const [point = '', passage = '1'] = (process.env[KILL_AT] ?? '').split(':');
let passagesLeft = Number(passage);

function pass(here: KillPoint): void {
  if (here === point && --passagesLeft === 0) process.kill(process.pid, 'SIGKILL');
}

type Method = (this: unknown, ...args: unknown[]) => unknown;
type Points = readonly [before: KillPoint, after: KillPoint];

/** Puts `points` around a method; `isMeant` picks the calls. What returns a promise is over when that is. */
function around(owner: object, name: string, points: Points, isMeant: (self: unknown) => boolean = () => true): void {
  const holder = owner as Record<string, Method>;
  const original = holder[name]!;
  const [before, after] = points;
  holder[name] = function (...args) {
    if (!isMeant(this)) return original.apply(this, args);
    pass(before);
    const result = original.apply(this, args);
    if (result instanceof Promise) {
      return result.then((value: unknown) => {
        pass(after);
        return value;
      });
    }
    pass(after);
    return result;
  };
}

const sqlOf = (self: unknown): string => (self as StatementSync).sourceSQL;

around(StatementSync.prototype, 'run', ['before a commit', 'after a commit'], (self) => sqlOf(self) === 'COMMIT');
const checkpoint: Points = ['before a checkpoint', 'after a checkpoint'];
around(StatementSync.prototype, 'get', checkpoint, (self) => sqlOf(self).startsWith('PRAGMA wal_checkpoint(PASSIVE'));
around(ServerResponse.prototype, 'end', ['before an answer to a caller', 'after an answer to a caller']);

// A TLS socket inherits how it writes; only its own writes are meant here.
const tunnel: Points = ['before a send on the tunnel', 'after a send on the tunnel'];
for (const name of ['_write', '_writev']) {
  const inherited = (Socket.prototype as unknown as Record<string, Method>)[name]!;
  Object.defineProperty(TLSSocket.prototype, name, { value: inherited, writable: true, configurable: true });
  around(TLSSocket.prototype, name, tunnel);
}

const named: Points = ['before a payload gets its name', 'after a payload gets its name'];
around(fsPromises, 'rename', named);
around(fs, 'renameSync', named);

const flush: Points = ['before a file is flushed', 'after a file is flushed'];
const write: Points = ['before a file is written', 'after a file is written'];
for (const name of ['fsyncSync', 'fdatasyncSync']) around(fs, name, flush);
for (const name of ['writeSync', 'writevSync', 'writeFileSync']) around(fs, name, write);
const own = await fsPromises.open(import.meta.filename);
const FileHandle = Object.getPrototypeOf(own) as object;
await own.close();
for (const name of ['sync', 'datasync']) around(FileHandle, name, flush);
for (const name of ['write', 'writev', 'writeFile', 'appendFile']) around(FileHandle, name, write);

syncBuiltinESMExports();
