/** Models in Python as their authors write them: every kind, batches, streams, cancels, progress, and the ends of processes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import sharp from 'sharp';
import { eventually } from '../support/leaks.ts';
import { needPython } from '../support/python.ts';
import { answerOf, failureOf, startPythonWorker } from '../support/python-models.ts';
import type { PythonModel, PythonWorker } from '../support/python-models.ts';
import { assignmentOf } from '../support/recording-link.ts';
import { flatPng } from '../support/images.ts';

async function workerFor(
  t: TestContext,
  models: Readonly<Record<string, PythonModel>>,
  ...modules: readonly string[]
): Promise<PythonWorker | null> {
  const python = needPython(t, ...modules);
  if (python === null) return null;
  const worker = await startPythonWorker(python, models);
  t.after(() => worker.stop());
  for (const name of Object.keys(models))
    assert.equal(worker.report(name)?.state, 'ready', worker.report(name)?.message);
  return worker;
}

test('JSON, texts, files and pictures come as what they are', async (t) => {
  const describe = `
def predict(batch):
    return [[type(item).__name__, str(item) if isinstance(item, str) else len(item), getattr(item, "parameters", None)] for item in batch]
`;
  const worker = await workerFor(t, {
    json: { code: 'def predict(batch): return [{"got": item} for item in batch]' },
    text: { code: describe, manifest: { kind: 'text', warm_up: { input: 'hello' } } },
    bytes: { code: describe, manifest: { kind: 'bytes', warm_up: { file: 'model.py' } } },
    image: { code: describe, manifest: { kind: 'image', warm_up: {} } },
  });
  if (worker === null) return;
  const { ask } = worker;
  assert.deepEqual(answerOf(await ask('json', { a: ['ü', null, 1.5] })), { got: { a: ['ü', null, 1.5] } });
  assert.deepEqual(answerOf(await ask('text', 'grüß')), ['Text', 'grüß', {}]);
  assert.deepEqual(answerOf(await ask('text', { prompt: 'p', top: 3 })), ['Text', 'p', { top: 3 }]);
  const raw = { input: Buffer.from([0, 1, 2]), contentType: 'application/octet-stream', parameters: { x: 1 } };
  assert.deepEqual(answerOf(await ask('bytes', null, raw)), ['Blob', 3, { x: 1 }]);
  const png = flatPng(8, 8);
  assert.deepEqual(answerOf(await ask('image', null, { input: png })), ['Blob', png.length, {}]);
  assert.equal(failureOf(await ask('image', null, { input: Buffer.from('no picture at all') })).code, 'not_an_image');
  assert.equal(failureOf(await ask('text', { prompt: 3 })).code, 'input_invalid');
  assert.equal(failureOf(await ask('text', null, { ...raw, input: Buffer.from([0xff, 0xfe]) })).code, 'input_invalid');
  assert.equal(failureOf(await ask('json', null, { input: Buffer.from('{"a":') })).code, 'input_invalid');
  assert.equal(failureOf(await ask('bytes', null, { input: Buffer.alloc(0) })).code, 'empty_input');
});

test('outputs are JSON, texts or bytes, as the model gives them', async (t) => {
  const code = `
import postern
def predict(batch):
    return [{"text": "a text", "bytes": b"\\x00\\x01", "blob": postern.Blob(b"RIFF", "audio/wav"), "list": [1, "a"]}[item or "text"] for item in batch]
`;
  const worker = await workerFor(t, {
    outputs: { code },
    texts: {
      code: 'def predict(b): return [x.upper() for x in b]',
      manifest: { kind: 'text', warm_up: { input: 'x' } },
    },
  });
  if (worker === null) return;
  const outputOf = async (input: unknown, model = 'outputs'): Promise<[string, string]> => {
    const end = await worker.ask(model, input);
    assert.equal(end.type, 'result');
    return end.type === 'result' ? [end.contentType, Buffer.from(end.output).toString('latin1')] : ['', ''];
  };
  assert.deepEqual(await outputOf('text'), ['application/json', '"a text"']);
  assert.deepEqual(await outputOf('bytes'), ['application/octet-stream', '\x00\x01']);
  assert.deepEqual(await outputOf('blob'), ['audio/wav', 'RIFF']);
  assert.deepEqual(await outputOf('list'), ['application/json', '[1, "a"]']);
  assert.deepEqual(await outputOf('shout', 'texts'), ['text/plain; charset=utf-8', 'SHOUT']);
});

test('items that arrive together are one batch, and one bad item fails alone', async (t) => {
  const code = `
import postern, time
def predict(batch):
    if "spoil" in batch:
        raise ValueError("spoilt")
    if batch == ["wait"]:
        time.sleep(0.2)
    return [postern.InputError("no") if item == "bad" else len(batch) for item in batch]
`;
  const manifest = { batch: { max_rows: 4 }, warm_up: { input: 'warm', runs: 2 } };
  const worker = await workerFor(t, { batched: { code, manifest } });
  if (worker === null) return;
  // While the first runs, the others arrive.
  const ends = await Promise.all(['wait', 'a', 'bad', 'b', 'c'].map((item) => worker.ask('batched', item)));
  assert.deepEqual(
    ends.map((end) => (end.type === 'failure' ? end.error.code : answerOf(end))),
    [1, 4, 'input_invalid', 4, 4],
  );
  const spoilt = await Promise.all(['wait', 'a', 'spoil', 'b'].map((item) => worker.ask('batched', item)));
  assert.deepEqual(
    spoilt.map((end) => (end.type === 'failure' ? end.error.code : answerOf(end))),
    [1, 1, 'model_failed', 1],
  );
});

test('a stream puts out its parts one by one, tells its progress, and stops when nobody wants it', async (t) => {
  const code = `
import postern, time
def stream(item):
    try:
        for n in range(item.get("parts", 1)):
            postern.progress(1 / (n + 1), f"part {n}")
            yield f"{n} "
            time.sleep(item.get("pause", 0))
    except GeneratorExit:
        print("closed early")
        raise
`;
  const asynchronous = `
import asyncio
class Model:
    async def stream(self, item):
        for n in range(3):
            await asyncio.sleep(0)
            yield {"n": n}
`;
  const worker = await workerFor(t, {
    texts: { code, manifest: { warm_up: { input: { parts: 1 } }, kind: 'json' } },
    later: { code: asynchronous },
  });
  if (worker === null) return;
  const whole = await worker.ask('texts', { parts: 3 });
  assert.deepEqual(answerOf(whole), ['0 ', '1 ', '2 ']);
  assert.deepEqual(answerOf(await worker.ask('later', {})), [{ n: 0 }, { n: 1 }, { n: 2 }]);
  assert.ok(worker.link.progressed.some(({ message }) => message === 'part 0'));

  const endless = assignmentOf(Buffer.from('{"parts": 1000000, "pause": 0.01}'), {
    model: 'texts',
    contentType: 'application/json',
  });
  worker.executor.onAssign(endless);
  await worker.link.partsOf(endless.job, 3);
  worker.executor.onCancel(endless, 'caller');
  assert.equal((await worker.link.ended(endless.job)).type, 'canceled');
  await worker.log.find(({ fields }) => fields.line === 'closed early');
  assert.deepEqual(answerOf(await worker.ask('texts', { parts: 1 })), ['0 ']);
});

test('a model that asks is told that nobody wants its output, or one item of it', async (t) => {
  const code = `
import postern, time
def predict(batch):
    if batch == [{}]:
        return batch
    print("begun", len(batch))
    while not postern.canceled():
        for place in range(len(batch)):
            if postern.canceled(place):
                print("canceled", batch[place])
        time.sleep(0.002)
    raise postern.Canceled
`;
  const worker = await workerFor(t, { patient: { code, manifest: { batch: { max_rows: 2, max_delay_ms: 10_000 } } } });
  if (worker === null) return;
  const [one, two] = ['"one"', '"two"'].map((text) =>
    assignmentOf(Buffer.from(text), { model: 'patient', contentType: 'application/json' }),
  );
  worker.executor.onAssign(one!);
  worker.executor.onAssign(two!);
  await worker.log.find(({ fields }) => fields.line === 'begun 2');
  worker.executor.onCancel(two!, 'caller');
  await worker.log.find(({ fields }) => fields.line === 'canceled two');
  worker.executor.onCancel(one!, 'caller');
  assert.deepEqual(
    [(await worker.link.ended(one!.job)).type, (await worker.link.ended(two!.job)).type],
    ['canceled', 'canceled'],
  );
  assert.deepEqual(
    worker.log.entries.filter(({ message }) => message === 'model runner died'),
    [],
  );
});

test('tensors are arrays without a copy, of every type that numpy has', async (t) => {
  const code = `
import numpy, json
def predict(batch):
    x = batch["x"]
    assert x.base is not None and x.flags.writeable, "a copy"
    return {"y": x * 2, "kind": numpy.array([str(x.dtype)] * len(x), dtype=object)}
`;
  const manifestOf = (datatype: string): Record<string, unknown> => ({
    kind: 'tensors',
    file: 'model.py',
    batch: { max_rows: 4 },
    warm_up: {},
    inputs: [{ name: 'x', datatype, shape: [-1, 2] }],
    outputs: [
      { name: 'y', datatype, shape: [-1, 2] },
      { name: 'kind', datatype: 'BYTES', shape: [-1] },
    ],
  });
  const types: Record<string, string> = {
    FP32: 'float32',
    FP64: 'float64',
    FP16: 'float16',
    INT64: 'int64',
    INT32: 'int32',
    INT8: 'int8',
    UINT8: 'uint8',
    UINT64: 'uint64',
  };
  const models = Object.fromEntries(
    Object.keys(types).map((datatype) => [datatype.toLowerCase(), { code, manifest: manifestOf(datatype) }]),
  );
  const worker = await workerFor(t, models, 'numpy');
  if (worker === null) return;
  for (const [datatype, numpyName] of Object.entries(types)) {
    const answer = answerOf(
      await worker.ask(datatype.toLowerCase(), {
        x: [
          [1, 2],
          [3, 4],
        ],
      }),
    );
    assert.deepEqual(
      answer,
      {
        y: [
          [2, 4],
          [6, 8],
        ],
        kind: [numpyName, numpyName],
      },
      datatype,
    );
  }
});

test('a picture is decoded and its labels are configuration, with the network in Python too', async (t) => {
  const code = 'def predict(batch):\n    return batch["image"].mean(axis=(2, 3)) * 20\n';
  const manifest = {
    kind: 'image-classification',
    file: 'model.py',
    input: { name: 'image', width: 16, height: 16 },
    output: { name: 'logits', labels: 'labels.json', top_k: 1 },
    batch: { max_rows: 4 },
    warm_up: { runs: 2 },
  };
  const files = { 'labels.json': '{"labels": ["red", "green", "blue"]}' };
  const two = { 'labels.json': '{"labels": ["red", "green"]}' };
  const python = needPython(t, 'numpy');
  if (python === null) return;
  const worker = await startPythonWorker(python, {
    colours: { code, manifest, files },
    less: { code, manifest, files: two },
  });
  t.after(() => worker.stop());
  const green = await sharp({ create: { width: 40, height: 30, channels: 3, background: '#00ff00' } })
    .png()
    .toBuffer();
  const answer = answerOf(await worker.ask('colours', null, { input: green })) as { predictions: { label: string }[] };
  assert.equal(answer.predictions[0]?.label, 'green');
  assert.match(worker.report('less')?.message ?? '', /expected 2 float32 values of "logits", got 3/);
});

test('tensors are memoryviews where there is no numpy', async (t) => {
  const code = `
import array, sys
sys.modules["numpy"] = None
def predict(batch):
    x = batch["x"]
    assert isinstance(x, memoryview) and x.shape[1] == 2
    return {"y": array.array("d", [sum(row) for row in x.tolist()]), "label": batch["label"]}
`;
  const label = { name: 'label', datatype: 'INT32', shape: [-1] };
  const manifest = {
    kind: 'tensors',
    file: 'model.py',
    warm_up: {},
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }, label],
    outputs: [{ name: 'y', datatype: 'FP64', shape: [-1] }, label],
  };
  const worker = await workerFor(t, { bare: { code, manifest } });
  if (worker === null) return;
  const answer = answerOf(
    await worker.ask('bare', {
      x: [
        [1, 2],
        [3, 4.5],
      ],
      label: [7, -8],
    }),
  );
  assert.deepEqual(answer, { y: [3, 7.5], label: [7, -8] });
});

test('the process sees no secrets of the worker, and starts in its folder', async (t) => {
  const worker = await workerFor(t, {
    nosy: {
      code: 'import os\ndef predict(batch): return [[sorted(os.environ), os.getcwd()] for _ in batch]',
      manifest: { python: { env: { MODE: 'x' } } },
    },
  });
  if (worker === null) return;
  const [names, folder] = answerOf(await worker.ask('nosy', 1)) as [string[], string];
  assert.deepEqual(
    names.filter((name) => !['HOME', 'LC_CTYPE', 'MODE', 'PATH', 'PYTHONPATH', 'PYTHONUNBUFFERED'].includes(name)),
    [],
  );
  assert.ok(names.includes('MODE') && folder.endsWith('/nosy/1'));
});

const CHILD = `
import os, subprocess
class Model:
    def setup(self):
        self.child = subprocess.Popen(["sleep", "1000000"])
    def predict(self, batch):
        return [[os.getpid(), self.child.pid] for _ in batch]
`;
/** Gone, or dead and waiting for somebody to take note. */
const isGone = (pid: number): boolean =>
  !existsSync(`/proc/${pid}`) || /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

test('an unload ends the process and everything that it started', async (t) => {
  const worker = await workerFor(t, { parent: { code: CHILD } });
  if (worker === null) return;
  const pids = answerOf(await worker.ask('parent', 1)) as number[];
  assert.ok(pids.every((pid) => !isGone(pid)));
  await worker.stop();
  await eventually(() => pids.every(isGone));
});

test('a worker that is killed takes its models with it, even one that hangs in native code', async (t) => {
  const python = needPython(t);
  if (python === null) return;
  const code = CHILD.replace(
    'return [',
    '\n        print("pids", os.getpid(), self.child.pid)\n        return [',
  ).replace('import os,', 'import ctypes, os,');
  const hanging = code.replace(
    '        return [',
    '        if batch != [{}]: ctypes.PyDLL(None).sleep(1000000)\n        return [',
  );
  const script = new URL('../support/python-worker-process.ts', import.meta.url).pathname;
  const host = spawn(process.execPath, [script, python, hanging], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => host.kill('SIGKILL'));
  const pids = await new Promise<number[]>((resolve) => {
    createInterface({ input: host.stdout }).on('line', (line) => {
      const found = /^pids (\d+) (\d+) hanging$/.exec(line);
      if (found) resolve([Number(found[1]), Number(found[2])]);
    });
  });
  assert.ok(pids.every((pid) => !isGone(pid)));
  host.kill('SIGKILL');
  await eventually(() => pids.every(isGone));
});
