import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { MODEL, startHttp, type Problem } from '../../../test/support/http-service.ts';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../logger.ts';
import { createLocalFiles } from '../files/place.ts';

type Body = string | FormData | Uint8Array<ArrayBuffer>;

interface FileBody {
  id: string;
  name: string;
  content_type: string;
  size: number;
  checksums: { sha256: string; md5: string };
  metadata: unknown;
  expires_at: string;
  created_at: string;
  urls: { get: string; download: string };
}

const PHOTO = Buffer.from('not really a photo');

function form(content: Uint8Array<ArrayBuffer> = PHOTO, metadata: object = { from: 'a test' }): FormData {
  const form = new FormData();
  form.append('content', new Blob([content], { type: 'image/jpeg' }), 'rose.jpg');
  // As Replicate's client sends it: a file too.
  form.append('metadata', new Blob([JSON.stringify(metadata)], { type: 'application/json' }));
  return form;
}

const upload = (base: string, body: Body, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${base}/v1/files`, { method: 'POST', body, headers });

async function uploaded(base: string, body: Body = form(), headers = {}): Promise<FileBody> {
  const response = await upload(base, body, headers);
  assert.equal(response.status, 201, await response.clone().text());
  return (await response.json()) as FileBody;
}

const codeOf = async (response: Response): Promise<string> =>
  `${response.status} ${((await response.json()) as Problem).code}`;

test('a file is uploaded, described, downloaded, listed and deleted', async (t) => {
  const { base } = await startHttp(t);
  const file = await uploaded(base);
  assert.equal(file.name, 'rose.jpg');
  assert.equal(file.content_type, 'image/jpeg');
  assert.equal(file.size, PHOTO.length);
  assert.deepEqual(file.metadata, { from: 'a test' });
  assert.deepEqual(file.checksums, {
    sha256: createHash('sha256').update(PHOTO).digest('hex'),
    md5: createHash('md5').update(PHOTO).digest('hex'),
  });
  assert.equal(Date.parse(file.expires_at) - Date.parse(file.created_at), 86_400_000);
  assert.deepEqual(await (await fetch(file.urls.get)).json(), file);
  const download = await fetch(file.urls.download);
  assert.equal(download.headers.get('content-type'), 'image/jpeg');
  assert.deepEqual(Buffer.from(await download.arrayBuffer()), PHOTO);

  const raw = await uploaded(base, PHOTO, { 'content-type': 'image/png' });
  assert.equal(raw.content_type, 'image/png');
  const page = (await (await fetch(`${base}/v1/files`)).json()) as { results: FileBody[]; next: null };
  assert.deepEqual([page.results.map(({ id }) => id), page.next], [[raw.id, file.id], null]);

  const gone = await fetch(file.urls.get, { method: 'DELETE' });
  assert.deepEqual([gone.status, await gone.text(), gone.headers.get('content-length')], [204, '', null]);
  assert.equal(await codeOf(await fetch(file.urls.get)), '404 file_not_found');
  // The other one has the same content, and keeps it.
  assert.equal((await fetch(raw.urls.download)).status, 200);
});

test('a list goes on where its page ended', async (t) => {
  const { base } = await startHttp(t);
  const ids: string[] = [];
  for (let index = 0; index < 103; index++) ids.push((await uploaded(base, `file ${index}`)).id);
  const read = async (url: string) => (await (await fetch(url)).json()) as { results: FileBody[]; next: string | null };
  const first = await read(`${base}/v1/files`);
  assert.equal(first.results.length, 100);
  const second = await read(first.next!);
  assert.equal(second.next, null);
  assert.deepEqual([...first.results, ...second.results].map(({ id }) => id).reverse(), ids);
});

test('its address is an input, read without a request', async (t) => {
  const { base, fake } = await startHttp(t);
  const file = await uploaded(base);
  const predict = (image: string): Promise<Response> =>
    fetch(`${base}${MODEL}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: { image, top_k: 2 } }),
    });
  for (const url of [file.urls.get, file.urls.download]) {
    assert.equal((await predict(url)).status, 201);
    const { input, parameters } = fake.submitted.at(-1)!;
    assert.equal(input.contentType, 'image/jpeg');
    assert.deepEqual(Buffer.from(input.bytes), PHOTO);
    assert.deepEqual(parameters, { top_k: 2 });
  }
  assert.equal(await codeOf(await predict(`${base}/v1/files/${file.id.replace(/.$/, 'x')}`)), '400 input_url_refused');
  await fetch(file.urls.get, { method: 'DELETE' });
  assert.equal(await codeOf(await predict(file.urls.get)), '404 file_not_found');
});

test('what cannot be kept is refused, and nothing of it stays', async (t) => {
  const { base } = await startHttp(t, { maxBodyBytes: 4096 }, { files: { maxCallerBytes: 5000 } });
  const twice = form();
  twice.append('content', new Blob(['again']), 'b.jpg');
  const unknown = form();
  unknown.append('colour', 'red');
  const stranger = new FormData();
  stranger.append('photo', new Blob(['x']), 'a.jpg');
  const cases: [body: Body | undefined, expected: string, type?: string][] = [
    [undefined, '400 missing_input'],
    ['', '400 missing_input', 'image/png'],
    [new FormData(), '400 missing_input'],
    [form(new Uint8Array(0)), '422 empty_input'],
    [twice, '400 bad_multipart'],
    [stranger, '400 bad_multipart'],
    [unknown, '400 bad_parameter'],
    [form(PHOTO, []), '400 bad_parameter'],
    [new Uint8Array(4097), '413 body_too_large', 'image/png'],
    ['--b\r\n', '400 bad_multipart', 'multipart/form-data; boundary=b'],
  ];
  for (const [body, expected, type] of cases) {
    const init = { method: 'POST', ...(body === undefined ? {} : { body }) };
    const headers = type === undefined ? {} : { 'content-type': type };
    assert.equal(await codeOf(await fetch(`${base}/v1/files`, { ...init, headers })), expected);
  }
  await uploaded(base, new Uint8Array(4000), { 'content-type': 'image/png' });
  const full = await upload(base, new Uint8Array(1001), { 'content-type': 'image/png' });
  assert.equal(await codeOf(full), '429 file_quota_exceeded');
  await uploaded(base, new Uint8Array(1000), { 'content-type': 'image/png' });
  const page = (await (await fetch(`${base}/v1/files`)).json()) as { results: FileBody[] };
  assert.equal(page.results.length, 2);
  assert.equal(await codeOf(await fetch(`${base}/v1/files?cursor=1`)), '400 bad_parameter');
});

test('files outlive the process, and end with their time, their bytes too', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'postern-files-'));
  const clock = createManualClock();
  const open = () =>
    createLocalFiles({ dataDir, clock, logger: silentLogger, ttlMs: 3_600_000, maxBytes: 1e9, maxCallerBytes: 1e9 });
  const first = open();
  await first.start();
  const about = { caller: 'anna', name: 'a', contentType: 'text/plain', metadata: '{}' };
  const one = await first.add({ ...about, id: 'a', content: Buffer.from('one') });
  await first.stop();

  const second = open();
  await second.start();
  assert.deepEqual(await second.get('a'), one);
  assert.equal(Buffer.from((await second.read(one))!).toString(), 'one');
  clock.advance(3_600_000);
  assert.equal(await second.get('a'), null);
  assert.deepEqual(await second.list({ caller: undefined, limit: 10, after: null }), { files: [], next: null });
  clock.advance(60_000);
  const left = (): string[] =>
    readdirSync(join(dataDir, 'files'), { recursive: true, encoding: 'utf8' }).filter((path) =>
      /[0-9a-f]{64}$/.test(path),
    );
  while (left().length > 0) await new Promise(setImmediate);
  await second.stop();
  rmSync(dataDir, { recursive: true });
});
