/** The pages and documents that the gateway serves agree with its routes, its table of errors and with each other. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ERROR_CODES } from '../../errors.ts';
import { startHttp } from '../../../test/support/http-service.ts';
import { ERROR_GUIDE } from './error-guide.ts';
import { ERROR_CHAPTERS, renderErrorsMarkdown } from './error-pages.ts';
import { openApiDocument } from './openapi.ts';

interface Document {
  paths: Record<
    string,
    Record<
      string,
      { parameters?: { name: string; in: string }[]; security?: object[]; responses: Record<string, object> }
    >
  >;
  components: { schemas: Record<string, { properties?: { code?: { enum?: string[] } } }> };
}

const root = path.join(import.meta.dirname, '../../..');

describe('the OpenAPI document', () => {
  const document = openApiDocument() as Document;

  test('has every route of the service, and no other', async (t) => {
    const { service } = await startHttp(t);
    const described = Object.entries(document.paths).flatMap(([url, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${url}`),
    );
    const served = service.routes
      .filter((route) => !route.path.startsWith('/assets/'))
      .map((route) => `${route.method} ${route.path.replace(/:(\w+)/g, '{$1}').replace('*', '{rest}')}`);
    assert.deepEqual(described.sort(), served.sort());
  });

  test('has a place on the reference page for every operation', () => {
    const { paths, tags } = openApiDocument() as { paths: Record<string, object>; tags: { name: string }[] };
    const operations = Object.values(paths).flatMap((methods) => Object.values(methods) as { tags: string[] }[]);
    const used = new Set(operations.flatMap((operation) => operation.tags));
    assert.deepEqual([...used].sort(), tags.map(({ name }) => name).sort());
  });

  test('asks for a key exactly where the routes do', async (t) => {
    const { service } = await startHttp(t);
    for (const route of service.routes) {
      if (route.path.startsWith('/assets/')) continue;
      const url = route.path.replace(/:(\w+)/g, '{$1}').replace('*', '{rest}');
      const operation = document.paths[url]?.[route.method.toLowerCase()];
      assert.equal(operation?.security === undefined, route.scope === 'public', `${route.method} ${url}`);
      if (route.scope !== 'public') assert.ok('401' in operation!.responses, url);
    }
  });

  test('names the parameters that its paths have', () => {
    for (const [url, methods] of Object.entries(document.paths)) {
      const inUrl = [...url.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      for (const operation of Object.values(methods)) {
        const named = (operation.parameters ?? [])
          .filter((parameter) => parameter.in === 'path')
          .map(({ name }) => name);
        assert.deepEqual(named, inUrl, url);
      }
    }
  });

  test('refers to shapes that exist', () => {
    const names = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map(
      (match) => match[1] ?? '',
    );
    assert.ok(names.length > 10);
    for (const name of names) assert.ok(name in document.components.schemas, name);
  });

  test('enumerates every error code', () => {
    assert.deepEqual(document.components.schemas.Problem?.properties?.code?.enum, Object.keys(ERROR_CODES));
  });

  test('a real prediction has exactly the members that it describes', async (t) => {
    const { base } = await startHttp(t);
    // Some members are there only for who asked for a webhook, and only where one prediction is read.
    const url = `${base}/v1/models/local/plants/predictions?webhook=https://example.com/`;
    const headers = { 'content-type': 'image/png', prefer: 'wait' };
    const made = (await (await fetch(url, { method: 'POST', body: 'x', headers })).json()) as { urls: { get: string } };
    const prediction = (await (await fetch(made.urls.get)).json()) as object;
    assert.deepEqual(
      Object.keys(prediction).sort(),
      Object.keys(document.components.schemas.Prediction?.properties ?? {}).sort(),
    );
  });
});

describe('the list of errors', () => {
  test('has every code once, in one chapter', () => {
    const codes = ERROR_CHAPTERS.flatMap((chapter) => chapter.codes);
    assert.deepEqual(codes, Object.keys(ERROR_CODES));
    assert.deepEqual(Object.keys(ERROR_GUIDE).sort(), codes.toSorted());
  });

  test('docs/errors.md is what the source says; npm run docs writes it', async () => {
    assert.equal(await readFile(path.join(root, 'docs/errors.md'), 'utf8'), renderErrorsMarkdown());
  });

  test('the page has an anchor for every code', async (t) => {
    const { base } = await startHttp(t);
    const page = await (await fetch(`${base}/docs/errors`)).text();
    for (const code of Object.keys(ERROR_CODES)) assert.ok(page.includes(`id="${code}"`), code);
  });
});

test('docs/http.md names the metrics that there are', async (t) => {
  const { base } = await startHttp(t);
  const scraped = [...(await (await fetch(`${base}/metrics`)).text()).matchAll(/^# TYPE (postern_\w+)/gm)].map(
    (match) => match[1],
  );
  const documented = [...(await readFile(path.join(root, 'docs/http.md'), 'utf8')).matchAll(/`(postern_\w+)`/g)].map(
    (match) => match[1],
  );
  assert.deepEqual([...new Set(documented)].sort(), scraped.sort());
});

describe('pages', () => {
  const addresses = [
    '/',
    '/docs',
    '/docs/errors',
    '/openapi.json',
    '/assets/docs.css',
    '/assets/docs.js',
    '/assets/icon.svg',
  ];

  test('come with a strict policy, a tag, and 304 for the tag', async (t) => {
    const { base } = await startHttp(t);
    for (const address of addresses) {
      const response = await fetch(base + address);
      assert.equal(response.status, 200, address);
      assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'; script-src 'self'/);
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      const again = await fetch(base + address, { headers: { 'if-none-match': response.headers.get('etag') ?? '' } });
      assert.equal(again.status, 304, address);
    }
  });

  test('load nothing from elsewhere, keep scripts out of the markup, and every asset that they name is served', async (t) => {
    const { base } = await startHttp(t);
    for (const address of ['/', '/docs', '/docs/errors']) {
      const page = await (await fetch(base + address)).text();
      assert.doesNotMatch(page, /<script(?![^>]*src=)|\son\w+=|\sstyle=|(?:src|<link[^>]*href)="(?:https?:)?\/\//);
      for (const [, asset] of page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) {
        assert.equal((await fetch(base + asset)).status, 200, asset);
      }
    }
    for (const script of ['/assets/docs.js']) {
      for (const [, module] of (await (await fetch(base + script)).text()).matchAll(/from '\.\/([^']+)'/g)) {
        assert.equal((await fetch(`${base}/assets/${module}`)).status, 200, module);
      }
    }
  });
});
