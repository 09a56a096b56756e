import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { systemClock } from '../clock.ts';
import { startModelWeb, type ModelWeb } from '../../test/support/model-web.ts';
import { openDraft } from './draft.ts';
import { checkPaths, parseModelRef, readManifest, writeManifest, type StoredFile } from './manifest.ts';
import { openPlace } from './open-place.ts';
import type { ModelPlace } from './place.ts';
import { pullModel, type PullOptions, type PullSummary } from './pull.ts';
import { pushModel } from './push.ts';
import { makeKeyPair, readPrivateKey, readPublicKey } from './signature.ts';

const S3 = { endpoint: null, region: null, pathStyle: false };
const MIB = 1024 * 1024;
const YAML = (name: string, version: string): string =>
  `postern: 1\nname: ${name}\nversion: "${version}"\nkind: echo\nrunner: echo\n`;

suite('the model store', () => {
  let root: string;
  let web: ModelWeb;
  let count = 0;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'postern-modelstore-'));
    await mkdir(join(root, 'store'));
    web = await startModelWeb(join(root, 'store'));
  });
  after(async () => {
    await web.stop();
    await rm(root, { recursive: true, force: true });
  });

  /** A repository with one version of a model that nobody else in this file has. */
  async function newModel(files: Record<string, Buffer> = {}): Promise<{ name: string; modelsDir: string }> {
    count += 1;
    const name = `model-${count}`;
    const modelsDir = join(root, `repository-${count}`);
    const all = { 'postern.yaml': Buffer.from(YAML(name, '1')), 'weights/part-1.bin': randomBytes(2 * MIB), ...files };
    for (const [path, content] of Object.entries(all)) {
      await mkdir(dirname(join(modelsDir, name, '1', path)), { recursive: true });
      await writeFile(join(modelsDir, name, '1', path), content);
    }
    return { name, modelsDir };
  }
  const place = (address: string): Promise<ModelPlace> => openPlace(address, { s3: S3, clock: systemClock });
  async function push(
    from: { name: string; modelsDir: string },
    changes: { privateKeyFile?: string; version?: string } = {},
  ) {
    const privateKey = changes.privateKeyFile === undefined ? null : await readPrivateKey(changes.privateKeyFile);
    return pushModel({ place: await place(join(root, 'store')), ...from, version: changes.version ?? '1', privateKey });
  }
  async function pull(name: string, changes: Partial<PullOptions> = {}): Promise<PullSummary> {
    const modelsDir = join(root, 'pulled');
    const model = { name, version: '1' };
    const base = { model, modelsDir, publicKey: null, maxBytes: 1024 * MIB, clock: systemClock };
    return pullModel({ place: await place(web.url), ...base, ...changes });
  }
  const stored = (name: string, ...path: string[]): string => join(root, 'store', name, ...path);
  const draftOf = (name: string): string => join(root, 'pulled', name, '.pull-1');
  const rangesOf = (name: string): (string | null)[] =>
    web.asked
      .filter(({ path, range }) => path.startsWith(`/${name}/files/`) && range !== null)
      .map(({ range }) => range);

  test('what was pushed comes back byte for byte, and a second push or pull moves nothing', async () => {
    const model = await newModel({ 'empty.txt': Buffer.alloc(0) });
    const pushed = await push(model);
    assert.equal(pushed.sent_bytes, pushed.bytes);
    assert.deepEqual(await push(model), { ...pushed, sent_bytes: 0, already: true });
    const pulled = await pull(model.name);
    assert.equal(pulled.fetched_bytes, pulled.bytes);
    for (const path of ['postern.yaml', 'weights/part-1.bin', 'empty.txt']) {
      const [was, is] = [join(model.modelsDir, model.name, '1', path), join(pulled.folder, path)];
      assert.ok((await readFile(was)).equals(await readFile(is)), path);
    }
    assert.deepEqual(await pull(model.name), { ...pulled, fetched_bytes: 0, already: true });
    assert.deepEqual(await readdir(join(root, 'pulled', model.name)), ['1'], 'nothing beside it');
  });

  test('a version with the same weights sends the rest alone', async () => {
    const model = await newModel();
    await push(model);
    const folder = join(model.modelsDir, model.name);
    await cp(join(folder, '1'), join(folder, '2'), { recursive: true });
    await writeFile(join(folder, '2', 'postern.yaml'), YAML(model.name, '2'));
    assert.equal((await push(model, { version: '2' })).sent_bytes, YAML(model.name, '2').length);
  });

  test('a connection that is cut again and again goes on where it stood', async () => {
    const model = await newModel();
    await push(model);
    for (const afterBytes of [700_000, 1, 900_000]) web.faults.push({ type: 'cut', afterBytes });
    const pulled = await pull(model.name, { place: await place(web.url) });
    assert.equal(pulled.fetched_bytes, pulled.bytes, 'no byte came twice');
    assert.ok(rangesOf(model.name).length >= 2);
  });

  test('a place that knows no ranges sends all of it again, and that is right too', async () => {
    const model = await newModel();
    await push(model);
    web.faults.push(
      { type: 'cut', afterBytes: 700_000 },
      { type: 'cut', afterBytes: 700_000 },
      { type: 'no-range' },
      { type: 'no-range' },
    );
    const pulled = await pull(model.name);
    assert.ok(pulled.fetched_bytes > pulled.bytes);
  });

  test('what an earlier try of other content left in the draft is thrown away', async () => {
    const model = await newModel();
    await push(model);
    await mkdir(join(draftOf(model.name), 'weights', 'deep'), { recursive: true });
    await writeFile(join(draftOf(model.name), 'weights', 'part-1.bin'), randomBytes(3 * MIB));
    await writeFile(join(draftOf(model.name), 'weights', 'deep', 'unknown'), 'x');
    await writeFile(join(draftOf(model.name), 'unknown.py'), 'import os');
    const { folder } = await pull(model.name);
    assert.deepEqual((await readdir(folder, { recursive: true })).sort(), [
      'postern.yaml',
      'weights',
      'weights/part-1.bin',
    ]);
  });

  test('a draft that holds other bytes is found out, thrown away, and the next try is right', async () => {
    const model = await newModel();
    await push(model);
    await mkdir(join(draftOf(model.name), 'weights'), { recursive: true });
    await writeFile(join(draftOf(model.name), 'weights', 'part-1.bin'), randomBytes(MIB));
    await assert.rejects(pull(model.name), { code: 'model_invalid', message: /does not have the SHA-256/ });
    assert.equal((await pull(model.name)).already, false);
  });

  test('a file that was changed at the place is refused, and nothing appears in the repository', async () => {
    const model = await newModel();
    await push(model);
    const [weights] = await largest(stored(model.name, 'files'));
    const bytes = await readFile(weights);
    for (const [what, content] of [
      ['another byte', Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1)! ^ 1])])],
      ['longer', Buffer.concat([bytes, Buffer.from('x')])],
    ] as const) {
      await writeFile(weights, content);
      await assert.rejects(pull(model.name), { code: 'model_invalid' }, what);
    }
    assert.deepEqual(
      (await readdir(join(root, 'pulled', model.name))).filter((entry) => !entry.startsWith('.pull-')),
      [],
    );
  });

  test('a file that is gone from the place is said to be gone', async () => {
    const model = await newModel();
    await push(model);
    await rm((await largest(stored(model.name, 'files')))[0]);
    await assert.rejects(pull(model.name), { code: 'model_not_found', message: /push again/ });
  });

  test('an error of the place that may pass is tried again, and one that stays is told', async () => {
    const model = await newModel();
    await push(model);
    web.faults.push({ type: 'status', status: 503 });
    assert.equal((await pull(model.name)).already, false);
    await assert.rejects(pull('never-pushed'), { code: 'model_not_found', message: /there is no never-pushed@1/ });
  });

  test('a signature is asked for where a key is given, and only its holder’s counts', async () => {
    const model = await newModel();
    const keys: string[] = [];
    for (const name of ['ours', 'theirs']) {
      const { privatePem, publicPem } = makeKeyPair();
      await writeFile(join(root, name), privatePem);
      await writeFile(join(root, `${name}.pub`), publicPem);
      keys.push(join(root, name));
    }
    const [ours = '', theirs = ''] = keys;
    const unsigned = await newModel();
    await push(unsigned);
    const publicKey = await readPublicKey(`${ours}.pub`);
    await assert.rejects(pull(unsigned.name, { publicKey }), { code: 'model_invalid', message: /is not signed/ });
    assert.equal((await push(model, { privateKeyFile: ours })).signed, true);
    await assert.rejects(pull(model.name, { publicKey: await readPublicKey(`${theirs}.pub`) }), {
      message: /not signed by the holder/,
    });
    await assert.rejects(push(model, { privateKeyFile: theirs }), { message: /signed already, with another key/ });
    assert.equal((await pull(model.name, { publicKey })).signed, true);
    // The same files under a manifest that was changed.
    const manifest = stored(model.name, '1', 'manifest.json');
    await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('"files"', ' "files"'));
    await assert.rejects(pull(model.name, { publicKey }), { message: /changed since/ });
    await assert.rejects(readPublicKey(ours), { code: 'config_invalid', message: /it is the private one/ });
    await assert.rejects(readPrivateKey(join(root, 'no-such-file')), { code: 'config_invalid' });
  });

  test('what is published does not change, and what is in the repository is not overwritten', async () => {
    const model = await newModel();
    await push(model);
    const { folder } = await pull(model.name);
    await writeFile(join(model.modelsDir, model.name, '1', 'more.txt'), 'x');
    await assert.rejects(push(model), { code: 'model_invalid', message: /with other files/ });
    await truncate(join(folder, 'weights', 'part-1.bin'), 5);
    await assert.rejects(pull(model.name), { code: 'model_invalid', message: /remove it, or give/ });
    assert.equal((await stat(join(folder, 'weights', 'part-1.bin'))).size, 5);
  });

  test('links, odd names and a missing postern.yaml are not pushed', async () => {
    const folderOf = ({ modelsDir, name }: { modelsDir: string; name: string }): string => join(modelsDir, name, '1');
    const linked = await newModel();
    await symlink('/etc/passwd', join(folderOf(linked), 'passwd'));
    await assert.rejects(push(linked), { code: 'model_invalid', message: /passwd is not a file/ });
    await assert.rejects(push(await newModel({ 'with space.bin': Buffer.from('x') })), {
      message: /with space\.bin: names/,
    });
    await assert.rejects(push(await newModel({ 'A.bin': Buffer.from('x'), 'a.bin': Buffer.from('x') })), {
      message: /more than case/,
    });
    const headless = await newModel();
    await rm(join(folderOf(headless), 'postern.yaml'));
    await assert.rejects(push(headless), { code: 'model_not_found' });
    const hidden = await newModel({ '.DS_Store': Buffer.from('x'), '__pycache__/model.pyc': Buffer.from('x') });
    assert.equal((await push(hidden)).files, 2);
  });

  test('a version that is larger than what was allowed is refused before a byte of it is fetched', async () => {
    const model = await newModel();
    await push(model);
    await assert.rejects(pull(model.name, { maxBytes: MIB }), { code: 'model_invalid', message: /--max-gib/ });
    assert.ok(!web.asked.some(({ path }) => path.startsWith(`/${model.name}/files/`)));
  });

  test('two pulls of one version into one folder: the second is told', async () => {
    const model = await newModel();
    await push(model);
    const first = await openDraft(join(root, 'pulled'), model.name, '1');
    await assert.rejects(pull(model.name), { message: /another process is pulling/ });
    first.release();
    assert.equal((await pull(model.name)).already, false);
  });

  test('plain http leads to this machine alone, and passwords belong in no address', async () => {
    for (const wrong of [
      'http://models.example/x',
      'https://user:secret@models.example',
      'ftp://models.example',
      's3://UPPER',
    ]) {
      await assert.rejects(place(wrong), { code: 'config_invalid' }, wrong);
    }
  });
});

async function largest(folder: string): Promise<[string]> {
  let best = { path: '', size: -1 };
  for (const name of await readdir(folder)) {
    const { size } = await stat(join(folder, name));
    if (size > best.size) best = { path: join(folder, name), size };
  }
  return [best.path];
}

test('a manifest is taken only if it is that of the version, and its paths stay inside', () => {
  const file = (path: string): StoredFile => ({ path, bytes: 1, sha256: 'a'.repeat(64) });
  const yaml = file('postern.yaml');
  const good = { postern_model: 1 as const, name: 'plants', version: '1', files: [yaml, file('a/b.bin')] };
  assert.deepEqual(readManifest(writeManifest(good), 'plants', '1').files.length, 2);
  assert.throws(() => readManifest(writeManifest(good), 'plants', '2'), { message: /is that of plants@1/ });
  for (const path of [
    '../x',
    '/etc/passwd',
    'a/../../x',
    'a//b',
    '.hidden',
    'a/.hidden',
    'a\\b',
    'a\0b',
    '',
    'x'.repeat(201),
  ]) {
    const bad = { ...good, files: [yaml, file(path)] };
    assert.throws(
      () => readManifest(writeManifest(bad), 'plants', '1'),
      { code: 'model_invalid' },
      JSON.stringify(path),
    );
  }
  for (const change of [
    { postern_model: 2 },
    { files: [] },
    { extra: 1 },
    { files: [{ ...yaml, bytes: -1 }] },
    { files: [{ ...yaml, sha256: 'x' }] },
  ]) {
    const bad = Buffer.from(JSON.stringify({ ...good, ...change }));
    assert.throws(() => readManifest(bad, 'plants', '1'), { code: 'model_invalid' }, JSON.stringify(change));
  }
  assert.throws(() => readManifest(Buffer.from('{'), 'plants', '1'), { code: 'model_invalid' });
  const paths =
    (...names: string[]): (() => void) =>
    () =>
      checkPaths(
        names.map((path) => ({ path })),
        'it',
      );
  assert.throws(paths('postern.yaml', 'a', 'a/b'), { message: /a as a file and as a folder/ });
  assert.throws(paths('postern.yaml', 'x/Y', 'X/y'), { message: /more than case/ });
  assert.throws(paths('model.onnx'), { message: /no postern.yaml/ });
});

test('a model is named with or without a version', () => {
  assert.deepEqual(parseModelRef('plants'), { name: 'plants', version: null });
  assert.deepEqual(parseModelRef('plants@2.1'), { name: 'plants', version: '2.1' });
  for (const wrong of ['', '@2', 'plants@', 'Plants', 'plants@2@3', '../plants', 'plants@../2'])
    assert.equal(parseModelRef(wrong), null);
});
