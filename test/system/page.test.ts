/** The first page in a real browser, against real processes: what a person sees, in both languages, on a phone and a desk. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, suite, test, type TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import sharp from 'sharp';
import { makeModelFolder, type ModelFolder } from '../support/model-folder.ts';
import { lacking } from '../support/needs.ts';
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';

/** Debian's name first; the others are what other systems call it. */
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];
const folders = (process.env.PATH ?? '').split(delimiter);
const executablePath = BROWSERS.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
const skip = executablePath === undefined && lacking(`none of ${BROWSERS.join(', ')} is installed`);

suite('the first page', { skip, timeout: 240_000 }, () => {
  let system: PosternSystem;
  let models: ModelFolder;
  let gateway: Gateway;
  let worker: Process;
  let identity: string;
  let browser: Browser;

  before(async () => {
    models = await makeModelFolder();
    // Named as the real one, so that the page speaks of plants; it tells red, green and blue apart, and rejects grey.
    await models.write('plants', '1');
    system = new PosternSystem({ modelsDir: models.path });
    gateway = await system.gateway();
    identity = system.issue('desk');
    worker = system.worker(gateway, identity);
    await untilModel(gateway.url, 'plants', 60_000);
    const { chromium } = await import('playwright-core');
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox', '--disable-gpu'] });
  });

  after(async () => {
    await browser?.close();
    await system?.remove();
    await models?.remove();
  });

  async function open(
    t: TestContext,
    options: BrowserContextOptions = {},
  ): Promise<{ page: Page; complaints: string[] }> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 820 }, locale: 'en-US', ...options });
    t.after(() => context.close());
    const page = await context.newPage();
    // For a machine that is busy with other things; nothing here takes a second on a quiet one.
    page.setDefaultTimeout(60_000);
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // A refused photo or key is a refused request, which the browser reports by itself.
      if (message.type() === 'error' && !/\b(?:401|422)\b/.test(message.text())) complaints.push(message.text());
    });
    await page.goto(gateway.url);
    await page.waitForSelector('#presence:not([hidden])');
    return { page, complaints };
  }

  async function photo(colour: string): Promise<{ name: string; mimeType: string; buffer: Buffer }> {
    const image = sharp({ create: { width: 64, height: 48, channels: 3, background: colour } });
    return { name: `${colour}.png`, mimeType: 'image/png', buffer: await image.png().toBuffer() };
  }

  const titleOf = async (page: Page): Promise<string> => {
    await page.waitForSelector('#result:not([hidden])');
    return page.innerText('#result-title');
  };

  test('shows the likeliest names with their scores, the caution, and where the time went', async (t) => {
    const { page, complaints } = await open(t);
    assert.equal(await page.innerText('h1'), 'Which plant is this?');
    await page.setInputFiles('#choose', await photo('red'));
    assert.equal(await titleOf(page), 'Red');
    const scores = await page.locator('#scores li').allInnerTexts();
    assert.match(scores[0] ?? '', /^Red\s+100%$/);
    assert.ok(scores.length >= 3);
    assert.match(await page.innerText('#caution'), /Never eat a plant because of this page/);
    assert.match(await page.innerText('#timing-total'), /^Answered in [\d.,]+ (ms|sec)$/);
    assert.equal(await page.evaluate('document.activeElement.id'), 'result-title');
    assert.match(await page.innerText('#live'), /^Done\. Most likely: Red, 100%\.$/);
    assert.ok(await page.isVisible('#preview'));
    assert.deepEqual(complaints, []);
  });

  test('says plainly when nothing fits, and keeps the guesses folded away', async (t) => {
    const { page } = await open(t);
    await page.setInputFiles('#choose', await photo('grey'));
    assert.equal(await titleOf(page), 'This does not look like a plant');
    assert.equal(await page.isVisible('#scores li'), false);
    assert.equal(await page.isVisible('#guess-scores li'), false);
    await page.click('#guesses summary');
    assert.equal(await page.isVisible('#guess-scores li'), true);
  });

  test('says what is wrong with a file that is no photo, and goes on with the next one', async (t) => {
    const { page, complaints } = await open(t);
    await page.setInputFiles('#choose', {
      name: 'list.txt',
      mimeType: 'text/plain',
      buffer: Buffer.from('milk, bread'),
    });
    await page.waitForSelector('#problem:not([hidden])');
    assert.match(await page.innerText('#problem-text'), /not a photo that can be read/);
    await page.setInputFiles('#choose', { name: 'empty.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(0) });
    await page.locator('#problem-text', { hasText: 'The file is empty.' }).waitFor();
    await page.setInputFiles('#choose', await photo('blue'));
    assert.equal(await titleOf(page), 'Blue');
    assert.deepEqual(complaints, []);
  });

  test('speaks Korean to a Korean browser, and remembers the choice of a person', async (t) => {
    const { page } = await open(t, { locale: 'ko-KR' });
    assert.equal(await page.getAttribute('html', 'lang'), 'ko');
    assert.equal(await page.innerText('h1'), '이 식물은 무엇일까요?');
    await page.setInputFiles('#choose', await photo('grey'));
    assert.equal(await titleOf(page), '식물이 아닌 것 같습니다');
    await page.click('[data-language=en]');
    assert.equal(await page.innerText('#result-title'), 'This does not look like a plant');
    await page.reload();
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
  });

  test('sends a photo small, upright and without its metadata', async (t) => {
    const { page } = await open(t);
    const wide = sharp({ create: { width: 3000, height: 2000, channels: 3, background: 'red' } });
    // Orientation 6: a phone held upright. With a place, which must not leave the device.
    const exif = { IFD0: { Make: 'A phone' }, IFD3: { GPSLatitudeRef: 'N' } };
    const buffer = await wide.withExif(exif).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    // Chromium does not show the body of such a request to its driver, so the page's own sending is listened to.
    await page.addInitScript(`{
      const send = XMLHttpRequest.prototype.send;
      XMLHttpRequest.prototype.send = function (body) {
        const reader = new FileReader();
        reader.onload = () => (window.sentPhoto = reader.result);
        reader.readAsDataURL(body);
        send.call(this, body);
      };
    }`);
    await page.reload();
    await page.setInputFiles('#choose', { name: 'rose.jpg', mimeType: 'image/jpeg', buffer });
    assert.equal(await titleOf(page), 'Red');
    const url = await page.evaluate<string>('window.sentPhoto');
    const sent = await sharp(Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')).metadata();
    assert.deepEqual([sent.format, sent.width, sent.height, sent.exif], ['jpeg', 683, 1024, undefined]);
  });

  test('takes a photo that is pasted or dropped', async (t) => {
    const { page } = await open(t);
    const base64 = (await photo('green')).buffer.toString('base64');
    for (const type of ['paste', 'drop']) {
      await page.reload();
      await page.waitForSelector('#presence:not([hidden])');
      await page.evaluate(
        `fetch('data:image/png;base64,${base64}').catch(() => null).then(() => {
          const bytes = Uint8Array.from(atob('${base64}'), (c) => c.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], 'green.png', { type: 'image/png' }));
          window.dispatchEvent('${type}' === 'paste' ? new ClipboardEvent('paste', { clipboardData: data }) : new DragEvent('drop', { dataTransfer: data }));
        })`,
      );
      assert.equal(await titleOf(page), 'Green', type);
    }
  });

  test('fits a phone of 320 pixels in both themes', async (t) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page } = await open(t, {
        viewport: { width: 320, height: 640 },
        isMobile: true,
        hasTouch: true,
        colorScheme,
        locale: 'ko-KR',
      });
      await page.setInputFiles('#camera', await photo('green'));
      await titleOf(page);
      await page.click('#timing summary');
      for (const address of ['/docs', '/docs/errors', '']) {
        if (address !== '') await page.goto(gateway.url + address).then(() => page.waitForSelector('article'));
        const overflow = await page.evaluate(
          'document.documentElement.scrollWidth - document.documentElement.clientWidth',
        );
        assert.equal(overflow, 0, `${colorScheme} ${address}`);
      }
    }
  });

  test('shows the reference with every operation', async (t) => {
    const { page, complaints } = await open(t);
    await page.goto(`${gateway.url}/docs`);
    await page.waitForSelector('#shape-Problem');
    const { paths } = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as { paths: Record<string, object> };
    const operations = Object.values(paths).reduce((sum, methods) => sum + Object.keys(methods).length, 0);
    assert.equal(await page.locator('#operations article').count(), operations);
    assert.deepEqual(complaints, []);
  });

  // Last, because it takes the worker away.
  test('lets a photo wait while no machine is connected, takes it back, and answers when one comes', async (t) => {
    const { page } = await open(t);
    await worker.kill();
    await until('the worker to be away', 40_000, async () => {
      const { workers } = (await (await fetch(`${gateway.url}/readyz`)).json()) as { workers: number };
      return workers === 0 ? true : null;
    });
    await page.reload();
    await page.waitForSelector('#presence.away');
    await page.setInputFiles('#choose', await photo('red'));
    await page.locator('#working-more', { hasText: 'No machine is connected' }).waitFor();
    await page.click('#cancel');
    await page.waitForSelector('#idle:not([hidden])');
    await until('the job to be canceled', 10_000, async () => {
      const { results } = (await (await fetch(`${gateway.url}/v1/predictions?limit=1`)).json()) as {
        results: { status: string }[];
      };
      return results[0]?.status === 'canceled' ? true : null;
    });
    await page.setInputFiles('#choose', await photo('blue'));
    await page.locator('#working-more', { hasText: 'No machine is connected' }).waitFor();
    worker = system.worker(gateway, identity);
    assert.equal(await titleOf(page), 'Blue');
  });

  // The very last, because from the first key on nobody gets in without one.
  test('asks for a key when the gateway does, in both languages, and keeps it to itself and to its tab', async (t) => {
    const made = (name: string): { id: string; key: string } =>
      JSON.parse(system.command('gateway', ['keys', 'create', name, '--json'])) as { id: string; key: string };
    const { id, key } = made('web');
    await until('the gateway to ask for keys', 10_000, async () =>
      (await fetch(`${gateway.url}/v1/models`)).status === 401 ? true : null,
    );
    const { page, complaints } = await open(t);
    const addresses: string[] = [];
    page.on('request', (request) => void addresses.push(request.url()));
    await page.waitForSelector('#key:not([hidden])');
    assert.equal(await page.innerText('#key-title'), 'This gateway asks for a key');
    assert.equal(await page.isVisible('#key-problem'), false);
    await page.click('[data-language=ko]');
    assert.equal(await page.innerText('#key-title'), '이 게이트웨이에는 키가 필요합니다');
    assert.equal(await page.innerText('#key button'), '이 키 사용하기');

    // A photo that is chosen before there is a key waits for it.
    await page.setInputFiles('#choose', await photo('red'));
    await page.waitForSelector('#key:not([hidden])');
    await page.fill(
      '#key-input',
      made('other').key.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
    );
    await page.click('#key button');
    await page.locator('#key-problem', { hasText: '쓸 수 없는 키입니다' }).waitFor();
    assert.equal(await page.evaluate('document.activeElement.id'), 'key-input');
    await page.click('[data-language=en]');
    assert.match(await page.innerText('#key-problem'), /^This key does not count/);
    await page.fill('#key-input', key);
    await page.press('#key-input', 'Enter');
    assert.equal(await titleOf(page), 'Red');

    // A reload keeps it; no address, no lasting place and no other tab has it.
    await page.reload();
    await page.setInputFiles('#choose', await photo('blue'));
    assert.equal(await titleOf(page), 'Blue');
    assert.equal(await page.inputValue('#key-input'), '');
    assert.equal(await page.evaluate(`Object.values(sessionStorage).includes('${key}')`), true);
    assert.equal(
      await page.evaluate(`JSON.stringify([{ ...localStorage }, document.cookie])`),
      '[{"postern.language":"en"},""]',
    );
    assert.match(await page.innerText('#curl'), /-H "Authorization: Bearer \$POSTERN_API_KEY"$/);
    const other = await page.context().newPage();
    await other.goto(gateway.url);
    await other.waitForSelector('#key:not([hidden])');
    for (const address of [...addresses, page.url()]) assert.ok(!address.includes(key.slice(0, 20)), address);

    // Forgotten by hand …
    await page.click('#forget');
    await page.waitForSelector('#key:not([hidden])');
    assert.equal(await page.evaluate('sessionStorage.length'), 0);
    // … and when it counts no more.
    await page.fill('#key-input', key);
    await page.press('#key-input', 'Enter');
    await page.waitForSelector('#idle:not([hidden])');
    system.command('gateway', ['keys', 'revoke', id]);
    await until('the key to end', 10_000, async () =>
      (await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status === 401
        ? true
        : null,
    );
    await page.setInputFiles('#choose', await photo('red'));
    await page.locator('#key-problem', { hasText: 'This key does not count' }).waitFor();
    assert.equal(await page.evaluate('sessionStorage.length'), 0);
    assert.deepEqual(complaints, []);
  });
});
