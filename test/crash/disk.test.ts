/** The disk: nothing is acknowledged before it is flushed; a disk that is full or broken loses nothing, and is got over. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { needsProgram } from '../support/needs.ts';
import { mountSmall } from '../support/small-disk.ts';
import { compare, createStoreJournal, finish } from './journal.ts';
import { inspect } from './inspect.ts';
import { PosternSystem, until, untilModel, type Process } from '../support/postern.ts';
import { newJob, openStore } from './load.ts';

const LOAD = join(import.meta.dirname, 'load.ts');

function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'postern-disk-'));
}

/** Runs the load under strace until `enough` says so of what it wrote; returns all of it. */
function loadUnderStrace(options: {
  readonly folder: string;
  readonly strace: readonly string[];
  readonly load: readonly string[];
  readonly enough: (text: string) => boolean;
}): Promise<string> {
  const { folder, strace, load, enough } = options;
  const child = spawn('strace', ['-f', '-qq', ...strace, process.execPath, LOAD, join(folder, 'data'), '1', ...load], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let [text, errors] = ['', ''];
  // The whole group: strace alone would leave the load running.
  const end = (): void => void process.kill(-(child.pid ?? 0), 'SIGKILL');
  const tooLong = setTimeout(end, 120_000);
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2_000)));
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (enough(text)) end();
    });
    child.once('close', () => {
      clearTimeout(tooLong);
      if (enough(text)) resolve(text);
      else reject(new Error(`the load ended too early:\n${text.slice(-500)}\n${errors}`));
    });
  });
}

const count = (text: string, start: string): number => text.split('\n').filter((line) => line.startsWith(start)).length;

async function comparedWith(folder: string, text: string): Promise<string[]> {
  const journal = createStoreJournal();
  journal.read(text);
  const store = await openStore(join(folder, 'data'));
  try {
    return [...(await compare(store, journal)), ...(await finish(store))];
  } finally {
    await store.stop();
  }
}

const straceMissing = needsProgram('strace');

void test('every acknowledgement is written after the flush that covers its row', { skip: straceMissing }, async () => {
  const folder = newFolder();
  try {
    const trace = join(folder, 'trace');
    await loadUnderStrace({
      folder,
      strace: ['-o', trace, '-s', '40000', '-e', 'trace=pwrite64,fsync,fdatasync,write', '-y'],
      load: ['8'],
      enough: (text) => count(text, 'A ') >= 150 && count(text, 'D ') >= 50,
    });
    const { acknowledged, early } = orderOf(readFileSync(trace, 'latin1'));
    assert.ok(acknowledged >= 150, `${acknowledged} were looked at`);
    assert.deepEqual(early, []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

void test('the order check sees an acknowledgement that came too early', () => {
  const id = '01a1f9f9-d417-72af-9211-7f61ccc261b3';
  const wal = '35</data/jobs.sqlite-wal>';
  const lines = [
    `7 pwrite64(${wal}, "..${id}..", 4096, 0) = 4096`,
    `7 fsync(${wal}) = 0`,
    `6 write(1<pipe>, "A ${id}\\n", 39) = 39`,
  ];
  assert.deepEqual(orderOf(lines.join('\n')), { acknowledged: 1, early: [] });
  const [row, flush, ack] = lines as [string, string, string];
  for (const wrong of [
    [row, ack, flush],
    [flush, row, ack],
    [row, `7 fsync(${wal} <unfinished ...>`, ack],
  ]) {
    assert.equal(orderOf(wrong.join('\n')).early.length, 1);
  }
  const failed = [row, `7 fsync(${wal}) = -1 EIO (Input/output error)`, ack];
  assert.equal(orderOf(failed.join('\n')).early.length, 1);
});

/** Which accepted ids were acknowledged before a flush of the log ended well that had begun after their row was written. */
function orderOf(trace: string): { acknowledged: number; early: string[] } {
  const ID = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;
  const written = new Set<string>();
  const flushed = new Set<string>();
  /** What a flush that has begun will cover, by thread. */
  const flushing = new Map<string, string[]>();
  const early: string[] = [];
  let acknowledged = 0;
  const flushEnds = (thread: string, line: string): void => {
    if (line.endsWith('= 0')) for (const id of flushing.get(thread) ?? []) flushed.add(id);
    flushing.delete(thread);
  };
  for (const line of trace.split('\n')) {
    const [thread = ''] = line.split(' ', 1);
    if (line.includes('jobs.sqlite-wal>') && line.includes(' pwrite64(')) {
      for (const [id] of line.matchAll(ID)) written.add(id);
    } else if (/ f(data)?sync\(.*jobs\.sqlite-wal>/.test(line)) {
      flushing.set(thread, [...written]);
      if (!line.includes('<unfinished')) flushEnds(thread, line);
    } else if (/<\.\.\. f(data)?sync resumed>/.test(line)) flushEnds(thread, line);
    else if (/ write\(1<[^>]*>, "A /.test(line)) {
      for (const [id] of line.matchAll(ID)) {
        acknowledged += 1;
        if (!flushed.has(id)) early.push(id);
      }
    }
  }
  return { acknowledged, early };
}

void test(
  'flushes that fail acknowledge nothing that is lost, and the store goes on',
  { skip: straceMissing },
  async () => {
    const folder = newFolder();
    try {
      const text = await loadUnderStrace({
        folder,
        // Of each thread's flushes from the 40th on, every 10th.
        strace: ['-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO:when=40+10'],
        load: ['8', '--errors'],
        enough: (written) =>
          count(written, 'E storage_failed') >= 10 && count(written.slice(written.lastIndexOf('E ')), 'A ') >= 20,
      });
      assert.equal(count(text, 'X '), 0);
      assert.deepEqual(await comparedWith(folder, text), []);
      assert.deepEqual(inspect(join(folder, 'data', 'jobs.sqlite')), []);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

void test('a full disk refuses with a code of its own, loses nothing, and is got over', async (t) => {
  const folder = newFolder();
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const cannot = mountSmall(disk, 24);
  if (cannot !== false) {
    rmSync(folder, { recursive: true });
    t.skip(cannot);
    return;
  }
  try {
    const data = join(disk, 'data');
    const filler = join(disk, 'filler');
    const store = await openStore(data);
    const accepted: string[] = [];
    const codes = new Set<string>();
    let next = 1;
    const submit = async (): Promise<boolean> => {
      const id = `job-${(next += 1)}`;
      try {
        const [outcome] = await store.submit([newJob(id)]);
        if (outcome?.type === 'accepted') accepted.push(id);
        return outcome?.type === 'accepted';
      } catch (error) {
        codes.add((error as { code: string }).code);
        return false;
      }
    };
    for (let i = 0; i < 20; i += 1) assert.ok(await submit());
    writeFileSync(filler, Buffer.alloc(12 * 1024 * 1024));
    let refused = 0;
    for (let i = 0; i < 5_000 && refused < 20; i += 1) if (!(await submit())) refused += 1;
    assert.equal(refused, 20, 'the disk was never full');
    assert.deepEqual([...codes], ['storage_full']);
    for (const id of accepted) assert.ok(await store.get(id), `${id} can be read while the disk is full`);

    rmSync(filler);
    for (let i = 0; i < 20; i += 1) assert.ok(await submit(), 'there is room again');
    await store.stop();

    const again = await openStore(data);
    for (const id of accepted) assert.equal((await again.get(id))?.status, 'starting');
    assert.deepEqual(await finish(again), []);
    await again.stop();
    assert.deepEqual(inspect(join(data, 'jobs.sqlite')), []);
  } finally {
    execFileSync('umount', [disk]);
    rmSync(folder, { recursive: true, force: true });
  }
});

void test('a gateway whose disk is full says so in /readyz, and is ready again by itself', async (t) => {
  const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'warn' } });
  // Where it keeps the gateway's state.
  const disk = join(system.folder, 'gateway');
  mkdirSync(disk);
  const cannot = mountSmall(disk, 24);
  if (cannot !== false) {
    await system.remove();
    t.skip(cannot);
    return;
  }
  const started: Process[] = [];
  try {
    const gateway = await system.gateway();
    started.push(gateway, system.worker(gateway, system.issue('disk')));
    await untilModel(gateway.url, 'echo');
    const readiness = async (): Promise<[number, string | null]> => {
      const response = await fetch(`${gateway.url}/readyz`);
      return [response.status, ((await response.json()) as { code?: string }).code ?? null];
    };
    const predict = async (): Promise<number> => {
      const response = await fetch(`${gateway.url}/v1/models/local/echo/predictions`, {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: Buffer.alloc(4_096),
      });
      await response.arrayBuffer();
      return response.status;
    };
    assert.deepEqual(await readiness(), [200, null]);
    assert.equal(await predict(), 202);
    const filler = join(disk, 'filler');
    // Whatever is left, to the last page: writing stops where the disk does.
    assert.throws(() => writeFileSync(filler, Buffer.alloc(32 * 1024 * 1024)), { code: 'ENOSPC' });
    await until('a refusal', 60_000, async () => ((await predict()) === 503 ? true : null));
    assert.deepEqual(await readiness(), [503, 'storage_full']);
    rmSync(filler);
    await until('the gateway is ready again', 60_000, async () => ((await readiness())[0] === 200 ? true : null));
    assert.equal(await predict(), 202);
  } finally {
    for (const one of started) await one.kill();
    execFileSync('umount', [disk]);
    await system.remove();
  }
});
