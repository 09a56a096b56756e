import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { needsProgram } from '../../../test/support/needs.ts';
import { parseCsv, parsePhotoList } from './manifest.ts';
import { openPhotos } from './photos.ts';

const LONG = `photos/${'very-long-folder-name/'.repeat(14)}photo.jpg`;
const FILES: Record<string, string> = {
  'photos/a/1.jpg': 'one',
  'photos/b/2.jpg': 'x'.repeat(1_025),
  [LONG]: 'long',
  'photos/none.jpg': '',
};

/** A folder with a manifest and photos.tar in the given format, without the photos themselves. */
function archive(t: TestContext, format: string, files = FILES): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-tar-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), content);
  }
  execFileSync('tar', ['-cf', 'photos.tar', `--format=${format}`, 'photos'], { cwd: folder });
  rmSync(join(folder, 'photos'), { recursive: true });
  writeFileSync(join(folder, 'manifest.csv'), '');
  return folder;
}

const skip = needsProgram('tar');

for (const format of ['gnu', 'pax', 'ustar']) {
  void test(`photos are read out of a ${format} archive where they lie`, { skip }, async (t) => {
    // ustar has room for 255 characters of a name, so the long one stays out of it.
    const files = Object.fromEntries(Object.entries(FILES).filter(([file]) => format !== 'ustar' || file !== LONG));
    const folder = archive(t, format, files);
    const photos = await openPhotos(join(folder, 'manifest.csv'), 'photos/a/1.jpg');
    t.after(() => photos.close());
    for (const [file, content] of Object.entries(files))
      assert.equal(Buffer.from(await photos.read(file)).toString(), content);
    await assert.rejects(photos.read('photos/a/3.jpg'), { code: 'missing_input' });
  });
}

void test('a damaged archive is refused where the damage is', { skip }, async (t) => {
  const folder = archive(t, 'gnu');
  const bytes = readFileSync(join(folder, 'photos.tar'));
  bytes.fill(0x41, 512, 600);
  writeFileSync(join(folder, 'photos.tar'), bytes);
  await assert.rejects(openPhotos(join(folder, 'manifest.csv'), 'photos/a/1.jpg'), /damaged at byte 512/);
  truncateSync(join(folder, 'photos.tar'), 700);
  await assert.rejects(openPhotos(join(folder, 'manifest.csv'), 'photos/a/1.jpg'), { code: 'missing_input' });
});

void test('unpacked photos are preferred to the archive, and having neither is said', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-photos-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const manifest = join(folder, 'manifest.csv');
  await assert.rejects(openPhotos(manifest, '1.jpg'), /neither 1.jpg nor photos.tar/);
  appendFileSync(join(folder, '1.jpg'), 'one');
  const photos = await openPhotos(manifest, '1.jpg');
  assert.equal(Buffer.from(await photos.read('1.jpg')).toString(), 'one');
});

void test('a manifest is CSV: quotes, doubled quotes, CRLF, a byte order mark, no end of line at the end', () => {
  assert.deepEqual(parseCsv('\ufeffa,b\r\n"x, ""y""",\n\n1,2'), [
    ['a', 'b'],
    ['x, "y"', ''],
    ['1', '2'],
  ]);
});

void test('a manifest needs the columns file and class; source and split may be missing', () => {
  assert.deepEqual(parsePhotoList('class,file\nrose,a.jpg\n', 'm.csv'), [
    { file: 'a.jpg', class: 'rose', source: '', split: '' },
  ]);
  assert.throws(() => parsePhotoList('file,label\na,b\n', 'm.csv'), /columns file and class/);
  assert.throws(() => parsePhotoList('file,class\na.jpg,\n', 'm.csv'), /line 2/);
});

void test('a manifest cannot name a file outside its folder', () => {
  for (const file of ['../secret', '/etc/passwd', 'a/../../b']) {
    assert.throws(() => parsePhotoList(`file,class\n${file},x\n`, 'm.csv'), /below the manifest/, file);
  }
});
