import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../test/support/leaks.ts';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { silentLogger, type Logger } from '../logger.ts';
import type { Message } from '../protocol/messages.ts';
import { MAX_PAYLOAD_BYTES } from '../protocol/limits.ts';
import { Attempts } from './attempts.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import { createSpool } from './spool.ts';
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

/** One run of a worker after the other over one folder. Nothing is acked unless the test says so. */
async function setup(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'postern-spool-'));
  t.after(() => rm(root, { recursive: true }));
  const folder = join(root, 'spool');
  const clock = createManualClock();
  const errors: string[] = [];
  const logger: Logger = { ...silentLogger, error: (message) => void errors.push(message) };
  let runs = 0;
  const start = async () => {
    const attempts = new Attempts();
    const sent: Message[] = [];
    const outbox = createOutbox({
      attempts,
      session: `run-${(runs += 1)}`,
      spool: createSpool({ folder, clock, logger }),
      clock,
      send(message) {
        sent.push(message);
        return null;
      },
    });
    await outbox.open();
    const left = [...attempts.kept()].map(({ message, payload }) => `${message.job} ${String(payload ?? '')}`);
    return { outbox, sent, left };
  };
  const files = async () => (await readdir(folder)).filter((name) => !name.endsWith('.draft'));
  const fileCount = (count: number) => eventually(async () => (await files()).length === count);
  return { folder, clock, errors, start, files, fileCount };
}

function end(outbox: Outbox, job: string, output: string): void {
  const bytes = Buffer.from(output);
  outbox.end(
    { job, attempt: 1 },
    { type: 'result', contentType: 'text/plain', output: bytes, timings: TIMINGS },
    1_000,
  );
}

const ack = (outbox: Outbox, job: string): void => void outbox.acked({ job, attempt: 1 });

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
  const { clock, start, files, fileCount } = await setup(t);
  const { outbox } = await start();
  end(outbox, 'quick', 'q');
  ack(outbox, 'quick');
  clock.advance(50);
  for (const job of ['a', 'b', 'c']) end(outbox, job, `of ${job}`);
  clock.advance(50);
  assert.deepEqual(await files(), [], 'none of these is due');
  clock.advance(50);
  await fileCount(1);
  const other = await start();
  assert.deepEqual(other.left, ['a of a', 'b of b', 'c of c']);
  await other.outbox.stop();
  for (const job of ['a', 'b']) ack(outbox, job);
  assert.equal((await files()).length, 1);
  ack(outbox, 'c');
  await fileCount(0);
  clock.advance(50);
  assert.equal(clock.timerCount, 0, 'with nothing to wait for it does not tick');
  await outbox.stop();
});

void test('without a link it writes at once, and a stop writes the rest', async (t) => {
  const { start, files, fileCount } = await setup(t);
  const { outbox } = await start();
  end(outbox, 'a', 'now');
  outbox.disconnected();
  await fileCount(1);
  end(outbox, 'b', 'at the stop');
  await outbox.stop();
  assert.equal((await files()).length, 2);
  assert.deepEqual((await start()).left, ['a now', 'b at the stop']);
});

void test('the next run names the earlier ones, sends what they left under their names, and says when it is over', async (t) => {
  const { clock, start, fileCount } = await setup(t);
  const first = await start();
  end(first.outbox, 'a', '1');
  await first.outbox.stop();
  clock.advance(1);
  const second = await start();
  end(second.outbox, 'b', '2');
  await second.outbox.stop();
  const third = await start();
  assert.deepEqual(third.outbox.previous(), ['run-1', 'run-2']);
  end(third.outbox, 'c', '3');
  third.sent.length = 0;
  third.outbox.resend();
  assert.deepEqual(
    third.sent.map((message) => message.type === 'result' && [message.job, message.session]),
    [
      ['a', 'run-1'],
      ['b', 'run-2'],
      ['c', undefined],
    ],
  );
  third.sent.length = 0;
  for (const job of ['b', 'c', 'a', 'a']) ack(third.outbox, job);
  assert.deepEqual(third.sent, [
    { type: 'gone', session: 'run-2' },
    { type: 'gone', session: 'run-1' },
  ]);
  assert.deepEqual(third.outbox.previous(), []);
  await fileCount(0);
  await third.outbox.stop();
});

void test('an end that is acked while it is written leaves no file behind', async (t) => {
  const { start, fileCount } = await setup(t);
  const { outbox } = await start();
  end(outbox, 'a', '1');
  outbox.disconnected();
  ack(outbox, 'a');
  await outbox.stop();
  await fileCount(0);
});

void test('a damaged file is set aside and said; what could be read of it is kept, and written anew', async (t) => {
  const { folder, clock, start, files, errors } = await setup(t);
  const { outbox } = await start();
  end(outbox, 'good', '1');
  end(outbox, 'bad', '2');
  await outbox.stop();
  const [name = ''] = await files();
  const file = await readFile(join(folder, name));
  file[file.length - 1]! ^= 1;
  await writeFile(join(folder, name), file);
  await writeFile(join(folder, '000-other.spool'), 'not ours');
  const next = await start();
  assert.deepEqual(next.left, ['good 1']);
  assert.equal(errors.length, 2);
  clock.advance(50);
  clock.advance(50);
  await eventually(async () => (await files()).filter((each) => each.endsWith('.spool')).length === 1);
  assert.equal((await files()).filter((each) => each.endsWith('.corrupt')).length, 2);
  await next.outbox.stop();
  assert.deepEqual((await start()).left, ['good 1']);
});

void test('an end that lies in two files is taken once', async (t) => {
  const { folder, start, files, fileCount } = await setup(t);
  const { outbox } = await start();
  end(outbox, 'a', '1');
  await outbox.stop();
  const [name = ''] = await files();
  await writeFile(join(folder, `9${name}`), await readFile(join(folder, name)));
  const next = await start();
  assert.deepEqual(next.left, ['a 1']);
  ack(next.outbox, 'a');
  await fileCount(0);
  await next.outbox.stop();
});

void test('drafts of a run that was killed are removed when they are old, and files are for their owner alone', async (t) => {
  const { folder, clock, start, files } = await setup(t);
  const { outbox } = await start();
  end(outbox, 'a', '1');
  await outbox.stop();
  assert.equal((await stat(join(folder, (await files())[0]!))).mode & 0o777, 0o600);
  for (const [name, ageS] of [
    ['old.draft', 120],
    ['new.draft', 1],
  ] as const) {
    await writeFile(join(folder, name), 'x');
    await utimes(join(folder, name), clock.now() / 1000 - ageS, clock.now() / 1000 - ageS);
  }
  await start();
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.endsWith('.draft')),
    ['new.draft'],
  );
});

void test('a disk that fails is said once, and tried again', async (t) => {
  const { folder, clock, start, fileCount, errors } = await setup(t);
  const { outbox } = await start();
  await rm(folder, { recursive: true });
  await writeFile(folder, 'in the way');
  end(outbox, 'a', '1');
  outbox.disconnected();
  await eventually(() => errors.length === 1);
  await rm(folder);
  await mkdir(folder);
  for (let tick = 0; tick < 120; tick += 1) clock.advance(50);
  await fileCount(1);
  assert.equal(errors.length, 1);
  await outbox.stop();
});
