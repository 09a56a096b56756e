/** The guides over HTTP: pages, search, single entries, and what is answered to those who ask for something else. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { startFieldGuide } from '../../../test/support/field-guide.ts';
import { FIELD_GUIDE_OPENAPI } from './openapi.ts';

interface Page {
  items: { id: string }[];
  next: string | null;
}

async function start(t: TestContext) {
  const http = await startFieldGuide(t);
  const get = async <T>(url: string): Promise<T> => {
    const response = await fetch(http.base + url);
    assert.equal(response.status, 200, url);
    return (await response.json()) as T;
  };
  return { ...http, get };
}

describe('the guides over HTTP', () => {
  test('every route is in the OpenAPI document, and the document is served', async (t) => {
    const { service, get } = await start(t);
    const served = service.routes
      .map((route) => route.path.replace(/:(\w+)/g, '{$1}'))
      .filter((url) => url.startsWith('/api/'));
    const methods = Object.entries(FIELD_GUIDE_OPENAPI.paths).flatMap(([url, of]) =>
      Object.keys(of).map((method) => `${method.toUpperCase()} ${url}`),
    );
    const routes = service.routes.filter((route) => route.path.startsWith('/api/'));
    assert.deepEqual(
      routes.map((route) => `${route.method} ${route.path.replace(/:(\w+)/g, '{$1}')}`).sort(),
      methods.sort(),
    );
    assert.deepEqual([...new Set(served)].sort(), Object.keys(FIELD_GUIDE_OPENAPI.paths).sort());
    const document = await get<{ paths: object }>('/openapi.json');
    for (const url of served) assert.ok(url in document.paths);
  });

  for (const query of [
    '',
    'q=lily&',
    'lang=ko&',
    'level=deadly&',
    'family=Asteraceae&',
    'q=%E3%84%B1&level=dangerous&',
  ]) {
    test(`pages of ?${query} follow one another without a gap or a repetition`, async (t) => {
      const { get } = await start(t);
      const whole = await get<Page>(`/api/guides/plants/entries?${query}limit=100`);
      const ids: string[] = [];
      let cursor: string | null = null;
      do {
        const page: Page = await get(
          `/api/guides/plants/entries?${query}limit=4${cursor === null ? '' : `&cursor=${cursor}`}`,
        );
        ids.push(...page.items.map(({ id }) => id));
        cursor = page.next;
      } while (cursor !== null);
      assert.equal(new Set(ids).size, ids.length);
      assert.deepEqual(
        ids.slice(0, 100),
        whole.items.map(({ id }) => id),
      );
      assert.ok(ids.length > 0);
    });
  }

  test('an entry has its facts and what is easily taken for it; a merged class leads to the entry that has it', async (t) => {
    const { get } = await start(t);
    const entry = await get<{ danger: { level: string }; sources: unknown[]; similar: { id: string }[] }>(
      '/api/guides/plants/entries/foxglove',
    );
    assert.ok(entry.sources.length > 0 && entry.similar.length > 0);
    const { id } = await get<{ id: string }>('/api/guides/plants/entries/western_poison_oak');
    assert.equal(id, 'toxicodendron');
  });

  test('a page that has not changed is not sent again', async (t) => {
    const { base } = await start(t);
    const url = `${base}/api/guides/plants/entries?q=rose`;
    const etag = (await fetch(url)).headers.get('etag') ?? '';
    assert.equal((await fetch(url, { headers: { 'if-none-match': etag } })).status, 304);
  });

  const refused: readonly (readonly [url: string, status: number, code: string])[] = [
    ['/api/guides/fish', 404, 'guide_not_found'],
    ['/api/guides/__proto__/entries', 404, 'guide_not_found'],
    ['/api/guides/plants/entries/nothing', 404, 'entry_not_found'],
    ['/api/guides/plants/entries/..%2F..%2Fetc', 404, 'entry_not_found'],
    ['/api/guides/plants/entries?limit=0', 400, 'bad_parameter'],
    ['/api/guides/plants/entries?limit=101', 400, 'bad_parameter'],
    ['/api/guides/plants/entries?limit=ten', 400, 'bad_parameter'],
    ['/api/guides/plants/entries?lang=fr', 400, 'bad_parameter'],
    ['/api/guides/plants/entries?level=funny', 400, 'bad_parameter'],
    ['/api/guides/plants/entries?cursor=x', 400, 'bad_parameter'],
    ['/api/guides/plants/entries?cursor=WzEsMl0', 400, 'bad_parameter'],
    ['/api/guides/plants/entries?q=a&q=b', 400, 'bad_parameter'],
    ['/api/guides/plants/entries?colour=red', 400, 'bad_parameter'],
    [`/api/guides/plants/entries?q=${'a'.repeat(101)}`, 400, 'bad_parameter'],
  ];
  for (const [url, status, code] of refused) {
    test(`${url.slice(0, 70)} is ${code}`, async (t) => {
      const { base } = await start(t);
      const response = await fetch(base + url);
      assert.equal(response.status, status);
      assert.equal(((await response.json()) as { code: string }).code, code);
    });
  }
});
