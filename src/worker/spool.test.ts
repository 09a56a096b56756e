import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../test/support/leaks.ts';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { silentLogger, type Logger } from '../logger.ts';
import { MAX_PAYLOAD_BYTES } from '../protocol/limits.ts';
import { createSpool, type Spool } from './spool.ts';
import { readSpoolFile, writeSpoolFile, type SpooledEnd } from './spool-file.ts';

const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 1.5 };

function resultOf(job: string, output: string, session = 'run-1'): SpooledEnd {
  const payload = Buffer.from(output);
  const message = {
    type: 'result' as const,
    job,
    attempt: 1,
    contentType: 'text/plain',
    bytes: payload.length,
    timings: TIMINGS,
    session,
  };
  return { message, payload };
}

const failure: SpooledEnd = {
  message: {
    type: 'failure',
    job: 'f',
    attempt: 2,
    code: 'model_failed',
    message: '것',
    retryable: false,
    session: 'r',
  },
  payload: undefined,
};

async function setup(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-spool-'));
  t.after(() => rm(folder, { recursive: true }));
  const clock = createManualClock();
  const errors: string[] = [];
  const logger: Logger = { ...silentLogger, error: (message) => void errors.push(message) };
  const open = (): Spool => createSpool({ folder: join(folder, 'spool'), clock, logger });
  const files = async () => (await readdir(join(folder, 'spool'))).filter((name) => !name.endsWith('.draft'));
  const opened = async () => {
    const spool = open();
    return {
      spool,
      ends: (await spool.open()).map(({ message, payload }) => `${message.job} ${String(payload ?? '')}`),
    };
  };
  return { folder: join(folder, 'spool'), clock, errors, opened, files };
}

void test('a file says what was written into it, whole', () => {
  const ends = [resultOf('a', 'output'), failure, resultOf('b', '')];
  const read = readSpoolFile(writeSpoolFile(ends));
  assert.equal(read.problem, null);
  assert.deepEqual(
    read.ends.map(({ message, payload }) => [message, payload && Buffer.from(payload).toString()]),
    ends.map(({ message, payload }) => [message, payload && Buffer.from(payload).toString()]),
  );
});

void test('whatever byte is changed or missing, nothing wrong is read, and what stands before it is saved', () => {
  const first = writeSpoolFile([resultOf('a', 'output')]);
  const file = writeSpoolFile([resultOf('a', 'output'), failure]);
  for (let at = 0; at < file.length; at += 1) {
    const changed = Buffer.from(file);
    changed[at] = changed[at]! ^ 0x40;
    const damaged = readSpoolFile(changed);
    assert.ok(damaged.problem !== null, `byte ${at}`);
    assert.equal(damaged.ends.length, at < first.length ? 0 : 1, `byte ${at}`);
    const cut = readSpoolFile(file.subarray(0, at));
    if (at !== first.length && at !== 8) assert.ok(cut.problem !== null, `cut at ${at}`);
  }
  const huge = Buffer.alloc(20);
  huge.write('PSPOOL1\n');
  huge.writeUInt32BE(MAX_PAYLOAD_BYTES + 1, 12);
  assert.match(readSpoolFile(huge).problem ?? '', /lengths/);
});

void test('what is acked in time never touches the disk; the rest is one file, and goes when all in it is acked', async (t) => {
  const { clock, opened, files } = await setup(t);
  const { spool } = await opened();
  spool.add(resultOf('quick', 'q'));
  spool.forget('quick', 1);
  clock.advance(99);
  for (const job of ['a', 'b', 'c']) spool.add(resultOf(job, `of ${job}`));
  clock.advance(1);
  assert.deepEqual(await files(), [], 'none of these is due');
  clock.advance(99);
  await eventually(async () => (await files()).length === 1);
  const next = await opened();
  assert.deepEqual(next.ends, ['a of a', 'b of b', 'c of c']);
  for (const job of ['a', 'b']) spool.forget(job, 1);
  assert.equal((await files()).length, 1);
  spool.forget('c', 1);
  await eventually(async () => (await files()).length === 0);
  await spool.stop();
});

void test('without a link it writes at once; a stop writes the rest; the next run has all of it, and clears it away', async (t) => {
  const { opened, files } = await setup(t);
  const { spool } = await opened();
  spool.add(resultOf('a', 'now'));
  spool.hurry();
  await spool.stop();
  spool.add(resultOf('late', 'after the stop'));
  const next = await opened();
  assert.deepEqual(next.ends, ['a now']);
  next.spool.add(failure);
  await next.spool.stop();
  const last = await opened();
  assert.deepEqual(last.ends.sort(), ['a now', 'f ']);
  last.spool.forget('a', 1);
  last.spool.forget('f', 2);
  await eventually(async () => (await files()).length === 0);
  await last.spool.stop();
});

void test('a damaged file is set aside and said; what could be read of it is kept', async (t) => {
  const { folder, opened, files, errors } = await setup(t);
  const { spool } = await opened();
  spool.add(resultOf('good', '1'));
  spool.add(resultOf('bad', '2'));
  await spool.stop();
  const [name = ''] = await files();
  const file = await readFile(join(folder, name));
  file[file.length - 1]! ^= 1;
  await writeFile(join(folder, name), file);
  await writeFile(join(folder, '000-other.spool'), 'not ours');
  const next = await opened();
  assert.deepEqual(next.ends, ['good 1']);
  assert.equal(errors.length, 2);
  await next.spool.stop();
  assert.deepEqual((await files()).filter((each) => each.endsWith('.corrupt')).length, 2);
  assert.deepEqual((await opened()).ends, ['good 1'], 'it was written anew');
});

void test('drafts of a run that was killed are removed when they are old, and files are for their owner alone', async (t) => {
  const { folder, clock, opened, files } = await setup(t);
  const { spool } = await opened();
  spool.add(resultOf('a', '1'));
  await spool.stop();
  assert.equal((await stat(join(folder, (await files())[0]!))).mode & 0o777, 0o600);
  for (const [name, ageS] of [
    ['old.draft', 120],
    ['new.draft', 1],
  ] as const) {
    await writeFile(join(folder, name), 'x');
    await utimes(join(folder, name), clock.now() / 1000 - ageS, clock.now() / 1000 - ageS);
  }
  await opened();
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.endsWith('.draft')),
    ['new.draft'],
  );
});

void test('a disk that fails is said once, and tried again', async (t) => {
  const { folder, clock, opened, files, errors } = await setup(t);
  const { spool } = await opened();
  await rm(folder, { recursive: true });
  await writeFile(folder, 'in the way');
  spool.add(resultOf('a', '1'));
  spool.hurry();
  // The manual clock fires what is due; the write then fails in its own time.
  await eventually(() => {
    clock.advance(0);
    return errors.length === 1;
  });
  await rm(folder);
  await eventually(async () => {
    clock.advance(5_000);
    return (await files().catch(() => [])).length === 1;
  });
  assert.equal(errors.length, 1);
  await spool.stop();
});
