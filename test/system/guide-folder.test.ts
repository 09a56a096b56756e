/**
 * `postern up --guide <folder>`: a guide that somebody wrote a moment ago, of labels that a model here has. It is browsed, searched, asked
 * with a photo; its photo process is killed; it is backed up and comes back elsewhere.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { childrenOf } from '../support/child-processes.ts';
import { pattern } from '../support/images.ts';
import { PosternSystem, type Gateway } from '../support/postern.ts';
import { needsSamples, sample } from '../support/samples.ts';
import { createVisitor } from '../support/visitor.ts';

const MODEL = new URL('../../models/clothes', import.meta.url).pathname;
const KOREAN: Readonly<Record<string, string>> = { dress: '원피스', hat: '모자', shoes: '신발', pants: '바지' };

interface Listed {
  readonly items: readonly { readonly id: string }[];
  readonly next_cursor?: string | null;
}

suite('a guide of one’s own', { timeout: 280_000 }, () => {
  const system = new PosternSystem({ env: { POSTERN_GUIDES_DIR: '/nonexistent/guides' } });
  const models = join(system.folder, 'models');
  const folder = join(system.folder, 'wardrobe');
  const { labels } = JSON.parse(readFileSync(join(MODEL, '1/labels.json'), 'utf8')) as { labels: string[] };
  let up: Gateway;

  before(async () => {
    cpSync(MODEL, join(models, 'clothes'), { recursive: true });
    mkdirSync(folder);
    const entries = labels.map((id) => ({
      id,
      names: { en: [id === 'hat' ? 'Wide-brimmed hat' : id], ko: [KOREAN[id] ?? id] },
      text: { en: `What people call ${id}.`, ko: id },
    }));
    const texts = { en: { title: 'Wardrobe' }, ko: { title: '옷장' } };
    const guide = { id: 'wardrobe', model: 'clothes', entries: 'entries.json', texts };
    writeFileSync(join(folder, 'guide.json'), JSON.stringify(guide));
    writeFileSync(join(folder, 'entries.json'), JSON.stringify({ format: 1, guide: 'wardrobe', entries }));
    up = await system.up(['--guide', folder, '--models', models]);
  });
  after(() => system.remove());

  async function ids(query: string): Promise<string[]> {
    const response = await fetch(`${up.url}/api/guides/wardrobe/entries?${query}`);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return (JSON.parse(text) as Listed).items.map(({ id }) => id);
  }

  test('is listed, browsed and searched, in both languages, with a letter wrong', async () => {
    const { items } = (await (await fetch(`${up.url}/api/guides`)).json()) as Listed;
    assert.deepEqual(
      items.map(({ id }) => id),
      ['wardrobe'],
    );
    assert.deepEqual((await ids('limit=100')).sort(), [...labels].sort());
    assert.equal((await ids('q=brimed'))[0], 'hat');
    assert.equal((await ids(`q=${encodeURIComponent('원피쓰')}`))[0], 'dress');
    assert.equal((await ids(`q=${encodeURIComponent('ㅁㅈ')}`))[0], 'hat');
    const hat = (await (await fetch(`${up.url}/api/guides/wardrobe/entries/hat`)).json()) as {
      names: { ko: string[] };
    };
    assert.deepEqual(hat.names.ko, ['모자']);
    assert.equal((await fetch(`${up.url}/api/guides/plants`)).status, 404);
  });

  test('names what is on a photo by its own entry', { skip: needsSamples() }, async () => {
    const ada = createVisitor(up.url);
    const { id } = await ada.identify([sample('clothes_dress')], { guide: 'wardrobe' });
    const { outcome } = await ada.decided(id);
    assert.equal(outcome?.candidates[0]?.entry.id, 'dress');
    assert.equal(outcome.danger, null);
  });

  test('goes on when its photo process is killed, and the photo in it is not lost', async () => {
    const ada = createVisitor(up.url);
    const photo = await pattern(64, 48).jpeg().toBuffer();
    await ada.identify([photo], { guide: 'wardrobe' });
    const preparers = (): number[] => childrenOf(up.pid, 'preparer-process');
    const [first] = preparers();
    assert.ok(first !== undefined);
    process.kill(first, 'SIGSTOP');
    const sent = ada.identify([photo], { guide: 'wardrobe' });
    assert.equal((await fetch(`${up.url}/api/guides/wardrobe`)).status, 200, 'it answers while the photo waits');
    process.kill(first, 'SIGKILL');
    await ada.decided((await sent).id);
    assert.ok(!preparers().includes(first));
    assert.equal((await fetch(`${up.url}/livez`)).status, 200);
  });

  test('is in the backup, and comes back in another data folder', async () => {
    const ada = createVisitor(up.url);
    const { id } = await ada.identify([await pattern(40, 30).jpeg().toBuffer()], { guide: 'wardrobe' });
    await ada.decided(id);
    const read = async (visitor: typeof ada): Promise<Buffer> =>
      Buffer.from(await (await visitor.fetch(`/api/identifications/${id}/photos/0`)).arrayBuffer());
    const photo = await read(ada);
    const backup = join(system.folder, 'backup');
    assert.match(system.command('gateway', ['backup', backup]), /the field guide with [1-9]\d* files of photos/);
    const there = { POSTERN_DATA_DIR: join(system.folder, 'there') };
    assert.match(
      system.command('gateway', ['restore', backup], there),
      /field guide with [1-9]\d* files of photos, workers, keys and identity/,
    );
    await up.stop();
    up = await system.up(['--guide', folder, '--models', models], { env: there });
    const again = createVisitor(up.url, { cookie: ada.cookie });
    assert.equal((await again.read(id)).status, 'decided');
    assert.deepEqual(await read(again), photo);
    const own = (await (await again.fetch('/api/identifications')).json()) as Listed;
    assert.ok(own.items.some((one) => one.id === id));
  });
});
