/**
 * Models that do what models do: each is a clear error to the right caller, and nobody else notices. All of them are served by
 * one worker, beside a model that works and is asked again after each.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needPython } from '../support/python.ts';
import { answerOf, failureOf, startPythonWorker } from '../support/python-models.ts';
import type { PythonModel, PythonWorker } from '../support/python-models.ts';

const GOOD = `
def predict(batch):
    return [{"answer": item} for item in batch]
`;

/** A model that behaves in the warm-up, whose input is {}. */
const when = (body: string, imports = ''): string => `
import os, sys, time
${imports}
def predict(batch):
    if batch[0] != {}:
        ${body}
    return [{} for _ in batch]
`;

interface NotLoaded extends PythonModel {
  readonly reason: RegExp;
}

/** Never ready, and the report says why. */
const NOT_LOADED: Readonly<Record<string, NotLoaded>> = {
  'setup-raises': {
    code: 'class Model:\n    def setup(self): raise ValueError("no weights here")\n    def predict(self, batch): return batch',
    reason: /^setup\(\) raised ValueError: no weights here$/,
  },
  'setup-exits': {
    code: 'import sys\nclass Model:\n    def setup(self): sys.exit(3)\n    def predict(self, batch): return batch',
    reason: /setup\(\) raised SystemExit: 3/,
  },
  'setup-dies': {
    code: 'import os\nclass Model:\n    def setup(self): os._exit(3)\n    def predict(self, batch): return batch',
    reason: /ended while it loaded the model \(exit code 3\)/,
  },
  'setup-hangs': {
    code: 'import time\nclass Model:\n    def setup(self): time.sleep(1e6)\n    def predict(self, batch): return batch',
    manifest: { python: { setup_timeout_s: 0.3 } },
    reason: /setup\(\) took longer than 0\.3 s \(python\.setup_timeout_s\)/,
  },
  'import-missing': {
    code: 'import nonesuch_package',
    reason: /model\.py needs the module nonesuch_package.*-m pip install/,
  },
  'import-syntax': { code: 'def predict(batch:', reason: /importing model\.py raised SyntaxError/ },
  'import-exits': { code: 'raise SystemExit(4)', reason: /ended the process while it was imported \(exit code 4\)/ },
  empty: { code: 'x = 1', reason: /expected a class Model or a function predict\(batch\)/ },
  'entry-missing': { code: GOOD, manifest: { python: { entry: 'Other' } }, reason: /has no "Other"; it has predict/ },
  'predict-generator': {
    code: 'def predict(batch):\n    yield 1\n',
    manifest: { python: { entry: 'Model' } },
    reason: /has no "Model"/,
  },
  'method-generator': {
    code: 'class Model:\n    def predict(self, batch):\n        yield 1\n',
    reason: /predict\(\) is a generator/,
  },
  'neither-method': {
    code: 'class Model:\n    pass\n',
    reason: /expected a method predict\(batch\) or stream\(item\)/,
  },
  'warm-up-fails': {
    code: 'def predict(batch):\n    return [item["key"] for item in batch]',
    reason: /KeyError: 'key'/,
  },
  'no-python': {
    code: GOOD,
    manifest: { python: { interpreter: '/nowhere/python' } },
    reason: /there is no Python at \/nowhere\/python/,
  },
  'not-python': {
    code: GOOD,
    manifest: { python: { interpreter: '/bin/false' } },
    reason: /\/bin\/false could not be started: exit code 1/,
  },
  'not-in-path': {
    code: GOOD,
    manifest: { python: { interpreter: 'python-nonesuch' } },
    reason: /python-nonesuch could not be started: spawn python-nonesuch ENOENT/,
  },
};

interface Failing extends PythonModel {
  readonly error: { readonly code: string; readonly retryable: boolean; readonly message: RegExp };
  /** The process is another one afterwards. */
  readonly restarts?: boolean;
}

/** Ready, and then this. */
const FAILING: Readonly<Record<string, Failing>> = {
  raises: {
    code: when('raise ValueError("the tea is cold")'),
    error: { code: 'model_failed', retryable: false, message: /^the model raised ValueError: the tea is cold$/ },
  },
  exits: {
    code: when('sys.exit(3)'),
    error: { code: 'model_failed', retryable: false, message: /SystemExit: 3/ },
  },
  refuses: {
    code: when('raise postern.InputError("expected a rose")', 'import postern'),
    error: { code: 'input_invalid', retryable: false, message: /^expected a rose$/ },
  },
  dies: {
    code: when('os._exit(3)'),
    error: { code: 'runner_crashed', retryable: true, message: /ended while it ran \(exit code 3\)/ },
    restarts: true,
  },
  segfaults: {
    code: when('ctypes.string_at(0)', 'import ctypes'),
    error: { code: 'runner_crashed', retryable: true, message: /signal SIGSEGV/ },
    restarts: true,
  },
  hangs: {
    code: when('time.sleep(1e6)'),
    manifest: { python: { predict_timeout_s: 0.3 } },
    error: { code: 'model_timeout', retryable: false, message: /within 0\.3 s \(python\.predict_timeout_s\)/ },
    restarts: true,
  },
  'hangs-in-native-code': {
    // PyDLL keeps the interpreter's lock: nothing in Python can run, no signal handler either.
    code: when('ctypes.PyDLL(None).sleep(1000000)', 'import ctypes'),
    manifest: { python: { predict_timeout_s: 0.3 } },
    error: { code: 'model_timeout', retryable: false, message: /did not answer/ },
    restarts: true,
  },
  'takes-memory': {
    code: when('held = b"x" * (300 << 20); time.sleep(1e6)'),
    manifest: { python: { memory_limit_mb: 100 } },
    error: { code: 'runner_crashed', retryable: true, message: /more than 100 MB \(python\.memory_limit_mb\)/ },
    restarts: true,
  },
  'too-few-rows': {
    code: when('return []'),
    error: { code: 'output_invalid', retryable: false, message: /returned 0 outputs for 1 items/ },
  },
  'not-a-list': {
    code: when('return {"answer": 1}'),
    error: { code: 'output_invalid', retryable: false, message: /returned a dict; expected a list/ },
  },
  nothing: {
    code: when('return None'),
    error: { code: 'output_invalid', retryable: false, message: /returned a NoneType/ },
  },
  'a-gigabyte': {
    code: when('return [bytes(1 << 30)]'),
    error: { code: 'output_too_large', retryable: false, message: /1,073,741,824 bytes, at most 67,108,864/ },
  },
  nan: {
    code: when('return [float("nan")]'),
    error: { code: 'output_invalid', retryable: false, message: /NaN or infinity/ },
  },
  'an-object': {
    code: when('return [object()]'),
    error: { code: 'output_invalid', retryable: false, message: /cannot be written as JSON.*object/ },
  },
  'a-cycle': {
    code: when('x = []; x.append(x); return [x]'),
    error: { code: 'output_invalid', retryable: false, message: /cannot be written as JSON/ },
  },
  'no-media-type': {
    code: when('return [postern.Blob(b"x", "a\\r\\nb")]', 'import postern'),
    error: { code: 'output_invalid', retryable: false, message: /no media type/ },
  },
  'recursion-without-end': {
    code: when('f = lambda: f(); f()'),
    error: { code: 'model_failed', retryable: false, message: /RecursionError/ },
  },
};

async function assertGoodAnswers(worker: PythonWorker): Promise<void> {
  assert.deepEqual(answerOf(await worker.ask('good', 42)), { answer: 42 });
}

test('models that cannot be loaded say why, and take no work', async (t) => {
  const python = needPython(t);
  if (python === null) return;
  const worker = await startPythonWorker(python, { good: { code: GOOD }, ...NOT_LOADED });
  try {
    for (const [name, { reason }] of Object.entries(NOT_LOADED)) {
      const report = worker.report(name);
      assert.equal(report?.state, 'failed', name);
      assert.match(report.message ?? '', reason, name);
      assert.equal(worker.link.capacity.get(`${name}@1`) ?? 0, 0, name);
    }
    await assertGoodAnswers(worker);
  } finally {
    await worker.stop();
  }
});

test('models that misbehave while they run fail the one who asked', async (t) => {
  const python = needPython(t);
  if (python === null) return;
  const worker = await startPythonWorker(python, { good: { code: GOOD }, ...FAILING });
  try {
    for (const [name, { error, restarts = false }] of Object.entries(FAILING)) {
      await t.test(name, async () => {
        assert.equal(worker.report(name)?.state, 'ready', worker.report(name)?.message);
        const { message, ...failure } = failureOf(await worker.ask(name, 'misbehave'));
        assert.deepEqual(failure, { code: error.code, retryable: error.retryable });
        assert.match(message, error.message);
        if (restarts) {
          await worker.log.find((line) => line.message === 'model runner died' && line.fields.model === name);
          await worker.untilState(name, 'ready');
        }
        // It goes on, and so do the others.
        assert.deepEqual(answerOf(await worker.ask(name, {})), {});
        await assertGoodAnswers(worker);
      });
    }
  } finally {
    await worker.stop();
  }
});

test('what a model prints goes to the log, and never among its answers', async (t) => {
  const python = needPython(t);
  if (python === null) return;
  const code = when('print("on stdout"); sys.stderr.write("on stderr\\n"); os.write(1, b"\\x01\\x00\\xff raw\\n")');
  const worker = await startPythonWorker(python, {
    chatty: { code },
    flood: { code: when('for i in range(5000): print(i)') },
  });
  try {
    assert.deepEqual(answerOf(await worker.ask('chatty', 'speak')), {});
    for (const [stream, text] of [
      ['stdout', 'on stdout'],
      ['stderr', 'on stderr'],
    ]) {
      await worker.log.find(
        ({ fields }) => fields.stream === stream && fields.line === text && fields.model === 'chatty',
      );
    }
    await worker.log.find(({ fields }) => typeof fields.line === 'string' && fields.line.endsWith(' raw'));
    assert.deepEqual(answerOf(await worker.ask('flood', 'speak')), {});
    const said = (): number =>
      worker.log.entries.filter(({ fields }) => fields.model === 'flood' && fields.line !== undefined).length;
    await worker.stop();
    const dropped = worker.log.entries.find(({ message }) => message === 'lines of the model were dropped');
    assert.ok(dropped !== undefined && said() < 1_000, `${said()} lines were logged`);
  } finally {
    await worker.stop();
  }
});

test('a model that leaks is restarted between two calls, and no call fails', async (t) => {
  const python = needPython(t);
  if (python === null) return;
  const code = `
import os
kept = []
def predict(batch):
    if batch[0] != {}:
        kept.append(b"x" * (30 << 20))
    return [os.getpid() for _ in batch]
`;
  const worker = await startPythonWorker(python, { leaky: { code, manifest: { python: { memory_limit_mb: 100 } } } });
  try {
    const pids = new Set<unknown>();
    // Each call keeps 30 MB: the fourth at the latest is beyond the limit.
    for (let call = 0; call < 9; call += 1) pids.add(answerOf(await worker.ask('leaky', call)));
    assert.ok(pids.size >= 2 && pids.size <= 4, `${pids.size} processes for nine calls`);
    assert.match(
      String(worker.log.entries.find(({ message }) => message === 'model runner died')?.fields.reason),
      /memory_limit_mb/,
    );
  } finally {
    await worker.stop();
  }
});
