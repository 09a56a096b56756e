/** Guides are folders: what is right is served, and what is wrong is said all at once. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { loadGuide } from './load.ts';

const root = path.join(import.meta.dirname, '../../..');

function folderWith(t: TestContext, files: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-guide-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, value] of Object.entries(files)) {
    writeFileSync(path.join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
  }
  return folder;
}

const text = { en: 'Words.', ko: '말.' };
const guide = { id: 'birds', model: 'birds', entries: 'entries.json', texts: { en: {}, ko: {} } };
const entries = {
  format: 1,
  guide: 'birds',
  entries: [
    { id: 'wren', names: { en: ['Wren'], ko: ['굴뚝새'] }, text, lookalikes: ['robin'] },
    { id: 'robin', names: { en: ['Robin'], ko: ['울새'] }, text },
  ],
};

describe('a guide', () => {
  test('is a folder with two small files', async (t) => {
    const loaded = await loadGuide(folderWith(t, { 'guide.json': guide, 'entries.json': entries }));
    assert.equal(loaded.size, 2);
    assert.equal((await loaded.search('rnfEnrto', { limit: 1, after: null })).entries[0]?.id, 'wren');
    assert.deepEqual(
      loaded.similar(loaded.get('wren')!).map(({ id }) => id),
      ['robin'],
    );
  });

  test('of 20,000 entries is loaded before its names are indexed, and then searched', async (t) => {
    const many = Array.from({ length: 20_000 }, (_, n) => {
      return { id: `e${n}`, names: { en: [`Thing number ${n}`], ko: [`물건${n}`] }, text };
    });
    const folder = folderWith(t, { 'guide.json': guide, 'entries.json': { ...entries, entries: many } });
    const loaded = await loadGuide(folder);
    assert.equal(loaded.list('en', { limit: 1, after: null }).entries.length, 1);
    const { entries: found } = await loaded.search('thing number 19999', { limit: 1, after: null });
    assert.equal(found[0]?.id, 'e19999');
  });

  for (const name of ['plants', 'clothes']) {
    test(`${name} lists exactly the labels of the model that it names`, async () => {
      const loaded = await loadGuide(path.join(root, 'guides', name));
      const file = path.join(root, 'models', loaded.model, '1', 'labels.json');
      const { labels, aliases } = JSON.parse(readFileSync(file, 'utf8')) as {
        labels: string[];
        aliases: Record<string, string>;
      };
      const outcomes = new Set(loaded.outcomes.map(({ id }) => id));
      const live = new Set(labels.filter((label) => !outcomes.has(label)));
      const listed = loaded.list('en', { limit: 1_000, after: null }).entries.map(({ id }) => id);
      assert.deepEqual(listed.sort(), [...live].sort());
      for (const [merged, label] of Object.entries(aliases)) assert.equal(loaded.get(merged)?.id, label);
    });
  }

  test('says everything that is wrong with it', async (t) => {
    const bad = {
      ...entries,
      guide: 'fish',
      entries: [
        { ...entries.entries[0], lookalikes: ['ostrich'], danger: { level: 'deadly', dangerous: true } },
        { ...entries.entries[1], verdict_group: 'thrushes' },
        { ...entries.entries[1] },
      ],
    };
    const folder = folderWith(t, { 'guide.json': guide, 'entries.json': bad });
    await assert.rejects(loadGuide(folder), (error: Error) => {
      for (const word of ['fish', 'ostrich', 'deadly', 'thrushes', 'two entries'])
        assert.match(error.message, new RegExp(word));
      return true;
    });
  });

  test('names the file and the key that cannot be read', async (t) => {
    const cases: readonly [Readonly<Record<string, unknown>>, RegExp][] = [
      [{}, /guide\.json:\s+there is no such file/],
      [{ 'guide.json': '{' }, /guide\.json/],
      [{ 'guide.json': { ...guide, entries: '../../etc/passwd' } }, /entries: expected a file of this folder/],
      [{ 'guide.json': guide }, /entries\.json:\s+there is no such file/],
      [{ 'guide.json': guide, 'entries.json': { ...entries, entries: [] } }, /entries\.json:\s+entries/],
    ];
    for (const [files, message] of cases)
      await assert.rejects(loadGuide(folderWith(t, files)), { code: 'config_invalid', message });
  });
});
