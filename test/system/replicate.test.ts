/** The unmodified `replicate` client of npm against a real gateway and a real worker: only its baseUrl is another. */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import Replicate, { type Prediction } from 'replicate';
import sharp from 'sharp';
import { makeModelFolder } from '../support/model-folder.ts';
import { PosternSystem, untilModel } from '../support/postern.ts';
import { makeTensorModels, TENSOR_MODELS } from '../support/tensor-models.ts';

interface Classified {
  readonly predictions: readonly { readonly label: string; readonly score: number }[];
}

const ECHO = new URL('../../models/echo', import.meta.url).pathname;

void describe('the replicate client', { timeout: 120_000 }, () => {
  const closing: (() => Promise<void>)[] = [];
  let replicate: Replicate;
  let url: string;
  let red: Buffer;

  before(async () => {
    const models = await makeTensorModels(TENSOR_MODELS.filter(({ name }) => name === 'sum'));
    const photos = await makeModelFolder();
    closing.push(
      () => models.remove(),
      () => photos.remove(),
    );
    await photos.write('colours', '1');
    await cp(photos.path, models.path, { recursive: true });
    await cp(ECHO, `${models.path}/echo`, { recursive: true });
    red = await sharp({ create: { width: 40, height: 30, channels: 3, background: '#ff0000' } })
      .png()
      .toBuffer();
    const system = new PosternSystem({ modelsDir: models.path });
    closing.push(() => system.remove());
    const gateway = await system.gateway();
    system.worker(gateway, system.issue('gpu-1'));
    for (const name of ['sum', 'colours', 'echo']) await untilModel(gateway.url, name);
    url = gateway.url;
    replicate = new Replicate({ baseUrl: `${url}/v1`, auth: 'none' });
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  void test('run() uploads a photo and gives the answer, by name and by version', async () => {
    for (const ref of ['local/colours', 'local/colours:colours@1'] as const) {
      const seen: string[] = [];
      const output = await replicate.run(ref, { input: { image: red, top_k: 1 } }, ({ status }) => seen.push(status));
      assert.deepEqual(
        (output as Classified).predictions.map(({ label }) => label),
        ['red'],
      );
      assert.equal(seen.at(-1), 'succeeded');
    }
    // (Its `fileEncodingStrategy: 'data-uri'` sends the client itself instead of the input, in 1.4.0; a data URL is a data URL.)
    const image = `data:image/png;base64,${red.toString('base64')}`;
    const output = (await replicate.run('local/colours', { input: { image } })) as Classified;
    assert.equal(output.predictions[0]?.label, 'red');
  });

  void test('run() of tensors takes and gives plain JSON', async () => {
    const input = { a: [[1, 2, 3]], b: [[10, 20, 30]] };
    assert.deepEqual(await replicate.run('local/sum', { input }), {
      sum: [[11, 22, 33]],
      difference: [[-9, -18, -27]],
    });
    await assert.rejects(replicate.run('local/sum', { input: { a: [[1]] } }), /input_invalid/);
  });

  void test('run() that polls, and run() whose wait was too short, end with the output', async () => {
    const input = { file: 'data:text/plain,slow', delay_ms: 1_500 };
    const polled = await replicate.run('local/echo', { input, wait: { mode: 'poll', interval: 50 } });
    assert.equal(polled, 'slow');
    assert.equal(await replicate.run('local/echo', { input, wait: { mode: 'block', timeout: 1 } }), 'slow');
  });

  void test('a binary output is a file, small or large', async () => {
    const small = (await replicate.run('local/echo', { input: { file: red } })) as { blob(): Promise<Blob> };
    assert.deepEqual(Buffer.from(await (await small.blob()).arrayBuffer()), red);
    // Beyond a data URL's size: its address. (The client makes files of https addresses only.)
    const large = Buffer.alloc(3_000_000, 7);
    const address = (await replicate.run('local/echo', { input: { file: large } })) as unknown as string;
    assert.match(address, /^http:.*\/output$/);
    assert.deepEqual(Buffer.from(await (await fetch(address)).arrayBuffer()), large);
  });

  void test('predictions are created, read, waited for, listed page by page and cancelled', async () => {
    const created = await replicate.predictions.create({ version: 'echo@1', input: { file: 'data:text/plain,one' } });
    assert.match(created.id, /^[0-9a-f-]{36}$/);
    const decided = await replicate.wait(created, { interval: 20 });
    assert.deepEqual([decided.status, decided.output], ['succeeded', 'one']);
    const read = await replicate.predictions.get(created.id);
    assert.deepEqual([read.output, read.logs, typeof read.metrics?.predict_time], ['one', '', 'number']);

    const waited = await replicate.predictions.create({ model: 'local/echo', input: { file: red }, wait: 10 });
    assert.equal(waited.status, 'succeeded');

    const slow = await replicate.predictions.create({
      model: 'local/echo',
      input: { file: 'data:text/plain,never', delay_ms: 60_000 },
    });
    await replicate.predictions.cancel(slow.id);
    assert.equal((await replicate.wait(slow, { interval: 20 })).status, 'canceled');

    const ids: string[] = [];
    for await (const page of replicate.paginate<Prediction>(() => replicate.predictions.list())) {
      ids.push(...page.map(({ id }) => id));
    }
    assert.deepEqual(ids.slice(0, 3), [slow.id, waited.id, created.id]);
  });

  void test('stream() gives the parts as they come, and done', async () => {
    const events: [string, string][] = [];
    const input = { file: 'data:text/plain,one%20two%20three', chunk_bytes: 4, delay_ms: 50 };
    for await (const { event, data } of replicate.stream('local/echo', { input })) events.push([event, data]);
    const text = events.flatMap(([event, data]) => (event === 'output' ? [data] : [])).join('');
    assert.equal(text, 'one two three');
    assert(events.filter(([event]) => event === 'output').length > 1, JSON.stringify(events));
    assert.equal(events.at(-1)?.[0], 'done');
  });

  void test('models and versions are described', async () => {
    const { results } = await replicate.models.list();
    assert.deepEqual(results.map(({ name }) => name).toSorted(), ['colours', 'echo', 'sum']);
    const model = await replicate.models.get('local', 'sum');
    assert.deepEqual([model.owner, model.name, model.latest_version?.id], ['local', 'sum', 'sum@1']);
    const versions = (await replicate.models.versions.list('local', 'sum')) as unknown as { results: { id: string }[] };
    assert.deepEqual(
      versions.results.map(({ id }) => id),
      ['sum@1'],
    );
    assert.equal((await replicate.models.versions.get('local', 'sum', 'sum@1')).id, 'sum@1');
    await assert.rejects(replicate.models.get('local', 'nothing'), /404.*model_not_found/);
  });

  void test('files are uploaded, named as inputs, listed and deleted', async () => {
    const file = await replicate.files.create(red, { plant: 'rose' });
    assert.deepEqual([file.size, file.metadata], [red.length, { plant: 'rose' }]);
    assert.equal((await replicate.files.get(file.id)).checksums.sha256, file.checksums.sha256);
    const output = (await replicate.run('local/colours', { input: { image: file.urls.get } })) as Classified;
    assert.equal(output.predictions[0]?.label, 'red');
    const listed = (await replicate.files.list()) as unknown as { results: { id: string }[] };
    assert.equal(listed.results[0]?.id, file.id);
    assert.equal(await replicate.files.delete(file.id), true);
    await assert.rejects(replicate.files.get(file.id), /404.*file_not_found/);
  });

  void test('a bare version is enough where one model has it, and otherwise says what to name', async () => {
    await assert.rejects(replicate.run('local/echo:1', { input: { file: red } }), /Several models have the version/);
  });

  void test('what Postern does not offer is refused clearly', async () => {
    await assert.rejects(replicate.deployments.list(), /404.*nothing like Replicate's \/v1\/deployments/);
    await assert.rejects(replicate.trainings.list(), /404.*nothing like Replicate's/);
    await assert.rejects(replicate.collections.list(), /404.*nothing like Replicate's/);
    await assert.rejects(replicate.hardware.list(), /404.*nothing like Replicate's/);
  });
});
