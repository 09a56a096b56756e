/** Identifying in a real browser, against real processes and the real model: from the photo to the notification, whatever happens on the way. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { axeViolations } from '../../support/axe.ts';
import { DESK, keepScreenshot, listen, overflowOf, PHONE, shellKept, untilIn, visit } from '../../support/browser.ts';
import { until } from '../../support/postern.ts';
import { sample } from '../../support/samples.ts';
import { noScene, photoFile, startWebScene, type WebScene } from '../../support/web-scene.ts';

suite('identifying in the browser', { skip: noScene(), timeout: 280_000 }, () => {
  let scene: WebScene;
  before(async () => void (scene = await startWebScene()));
  after(() => scene?.stop());

  const choose = async (page: Page, ...names: string[]): Promise<void> => {
    await page.setInputFiles('#choose', names.map(photoFile));
    await page.locator('button', { hasText: 'Identify' }).last().waitFor();
    await page.getByRole('button', { name: 'Identify', exact: true }).click();
  };
  const open = async (page: Page, path = '/g/plants'): Promise<void> => {
    await page.goto(scene.gateway.url + path);
    await page.waitForSelector('h1');
  };
  /** Stops the worker's process, so that what is sent stays under way for as long as the test wants. */
  const holdWorker = (): void => void process.kill(scene.worker().pid, 'SIGSTOP');
  const letWorkerGo = (): void => void process.kill(scene.worker().pid, 'SIGCONT');

  for (const [name, options] of [
    ['desk', DESK],
    ['phone', PHONE],
  ] as const) {
    test(`on a ${name}: names, danger before names, the warning, the parts that are poisonous`, async (t) => {
      const { page, complaints } = await visit(t, scene.browser, options);
      await open(page);
      await choose(page, 'lily_of_the_valley_0');
      await page.waitForSelector('#verdict[data-verdict=dangerous]');
      assert.equal(await page.innerText('h1'), 'Lily of the valley');
      const verdict = await page.innerText('#verdict');
      assert.match(verdict, /Deadly poisonous/);
      assert.match(verdict, /Do not eat it and do not touch it/);
      assert.match(verdict, /Poisonous parts: the whole plant, most of all flowers and berries/);
      assert.match(await page.innerText('#warning'), /Never eat a plant because of this page/);
      assert.ok((await page.locator('#candidates li').count()) <= 5);
      // Danger is above the names, wherever somebody begins to read.
      const above = await page.evaluate<boolean>(
        `document.querySelector('#verdict').getBoundingClientRect().top < document.querySelector('#candidates').getBoundingClientRect().top`,
      );
      assert.ok(above);
      assert.equal(await overflowOf(page), 0);
      await keepScreenshot(page, `result-${name}`, true);
      assert.deepEqual(complaints, []);
    });
  }

  test('tells in the page, in the title and by a notification when somebody reads on meanwhile', async (t) => {
    const { page, context, complaints } = await visit(t, scene.browser);
    await context.grantPermissions(['notifications'], { origin: scene.gateway.url });
    // A headless browser shows every page as visible; this is the one thing of it that is made up.
    await page.addInitScript(
      `Object.defineProperty(document, 'visibilityState', { get: () => (window.isAway ? 'hidden' : 'visible') })`,
    );
    await open(page);
    await shellKept(page);
    holdWorker();
    await choose(page, 'common_dandelion_0');
    await page.waitForURL(/\/mine\/./);
    await page.locator('#stage').waitFor();
    await page.getByRole('link', { name: 'Read the guide meanwhile' }).click();
    await page.getByRole('heading', { name: 'Plant guide' }).waitFor();
    await page.evaluate('window.isAway = true');
    letWorkerGo();
    const toast = page.locator('.toast');
    await toast.waitFor();
    assert.match(await toast.innerText(), /Done: .*[Dd]andelion/);
    assert.match(await page.title(), /^\(1\) /);
    const shown = await until('the notification', 30_000, () =>
      page.evaluate<string | null>(
        `navigator.serviceWorker.getRegistration().then((r) => r.getNotifications()).then((all) => all[0]?.title ?? null)`,
      ),
    );
    assert.match(shown, /[Dd]andelion/);
    await keepScreenshot(page, 'toast');
    await page.evaluate('window.isAway = false');
    await toast.getByRole('link').click();
    await page.waitForSelector('#candidates');
    await untilIn(page, 'the title without a number', `!document.title.startsWith('(')`);
    assert.equal(await toast.count(), 0);
    assert.deepEqual(complaints, []);
  });

  test('asks whether it may notify on a click, after the first photo was sent', async (t) => {
    const { page } = await visit(t, scene.browser);
    await page.addInitScript(`{
      window.asked = 0;
      Notification.requestPermission = () => { window.asked += 1; return Promise.resolve('default'); };
      Object.defineProperty(Notification, 'permission', { get: () => 'default' });
    }`);
    await open(page);
    assert.equal(await page.getByRole('button', { name: 'Tell me when it is done' }).count(), 0);
    holdWorker();
    await choose(page, 'common_dandelion_1');
    await page.getByRole('button', { name: 'Tell me when it is done' }).waitFor();
    assert.equal(await page.evaluate('window.asked'), 0);
    await page.getByRole('button', { name: 'Tell me when it is done' }).click();
    assert.equal(await page.evaluate('window.asked'), 1);
    letWorkerGo();
    await page.waitForSelector('#candidates');
  });

  test('a job survives a reload and a closed tab', async (t) => {
    const { page, context, complaints } = await visit(t, scene.browser);
    await open(page);
    holdWorker();
    await choose(page, 'lily_of_the_valley_1');
    await page.locator('#stage').waitFor();
    await page.reload();
    await page.locator('#stage').waitFor();
    await page.close();
    const second = await context.newPage();
    listen(second, complaints);
    await open(second);
    await second.locator('#jobs li[data-phase=watched]').waitFor();
    letWorkerGo();
    await second.locator('.toast', { hasText: 'Lily of the valley' }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test('a job survives the death of the worker in the middle of it', async (t) => {
    const { page } = await visit(t, scene.browser);
    await open(page);
    holdWorker();
    await choose(page, 'common_dandelion_2');
    await page.locator('#stage').waitFor();
    await scene.worker().kill();
    await scene.newWorker();
    await page.waitForSelector('#candidates', { timeout: 120_000 });
    assert.match(await page.innerText('h1'), /[Dd]andelion/);
  });

  test('without a network the photo waits on the device, through a reload, and goes when it is back', async (t) => {
    const { page, context } = await visit(t, scene.browser, PHONE);
    await open(page);
    // The shell must be kept before the network goes.
    await shellKept(page);
    await page.reload();
    await page.waitForSelector('h1');
    await context.setOffline(true);
    await choose(page, 'lily_of_the_valley_2');
    await page.locator('#jobs li', { hasText: 'Kept on this device' }).waitFor();
    await page.reload();
    await page.locator('#jobs li', { hasText: 'Kept on this device' }).waitFor();
    await page.getByText('You are offline', { exact: false }).first().waitFor();
    await keepScreenshot(page, 'offline-phone');
    await context.setOffline(false);
    await page.locator('.toast', { hasText: /Done:/ }).waitFor();
  });

  test('several photos of one plant are one identification; what shows no plant is left out', async (t) => {
    const { page } = await visit(t, scene.browser);
    await open(page);
    await page.setInputFiles('#choose', [photoFile('lily_of_the_valley_0'), photoFile('lily_of_the_valley_1')]);
    await page.getByRole('button', { name: 'Remove photo 2' }).waitFor();
    await page.setInputFiles('#choose', photoFile('not_a_plant_0'));
    await page.getByRole('button', { name: 'Remove photo 3' }).waitFor();
    await keepScreenshot(page, 'tray');
    await page.getByRole('button', { name: 'Identify', exact: true }).click();
    await page.waitForSelector('#candidates');
    assert.equal(await page.innerText('h1'), 'Lily of the valley');
    await page.getByText('1 photo was left out').waitFor();
  });

  test('says plainly that it is no plant, and keeps the guesses folded away', async (t) => {
    const { page } = await visit(t, scene.browser);
    await open(page);
    await choose(page, 'not_a_plant_1');
    await page.getByRole('heading', { name: 'Not a plant' }).waitFor();
    assert.equal(await page.locator('#candidates li').first().isVisible(), false);
    assert.equal(await page.locator('#verdict').count(), 0);
    await keepScreenshot(page, 'not-a-plant', true);
  });

  test('says what is wrong with a file that is no photo, and goes on with the next one', async (t) => {
    const { page, complaints } = await visit(t, scene.browser);
    await open(page);
    const text = { name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from('milk, bread') };
    await page.setInputFiles('#choose', text);
    await page.locator('#photo-problems', { hasText: '“list.txt” is not a photo' }).waitFor();
    await page.setInputFiles('#choose', { name: 'empty.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(0) });
    await page.locator('#photo-problems', { hasText: '“empty.jpg” is empty' }).waitFor();
    // A picture by its name and type, which only the server can tell is none.
    await page.setInputFiles('#choose', { name: 'x.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('not really') });
    await page.getByRole('button', { name: 'Identify', exact: true }).click();
    await page.locator('#jobs li[data-phase=refused]').waitFor();
    await page.getByRole('button', { name: 'Throw away' }).click();
    await page.locator('#jobs').waitFor({ state: 'detached' });
    assert.deepEqual(complaints, []);
  });

  test('sends a photo small, upright and without what the camera wrote into it', async (t) => {
    const { page } = await visit(t, scene.browser);
    const wide = sharp({ create: { width: 3_000, height: 2_000, channels: 3, background: '#3a7d44' } });
    // Orientation 6: a phone held upright. With a place, which must not leave the device.
    const exif = { IFD0: { Make: 'A phone' }, IFD3: { GPSLatitudeRef: 'N' } };
    const buffer = await wide.withExif(exif).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    // Chromium does not show the body of such a request to its driver, so the page's own sending is listened to.
    await page.addInitScript(`{
      const send = XMLHttpRequest.prototype.send;
      XMLHttpRequest.prototype.send = function (body) {
        const reader = new FileReader();
        reader.onload = () => (window.sentPhoto = reader.result);
        reader.readAsDataURL(body.get('photo'));
        send.call(this, body);
      };
    }`);
    await open(page);
    await page.setInputFiles('#choose', { name: 'rose.jpg', mimeType: 'image/jpeg', buffer });
    await page.getByRole('button', { name: 'Identify', exact: true }).click();
    await untilIn(page, 'the sending', 'window.sentPhoto !== undefined');
    const url = await page.evaluate<string>('window.sentPhoto');
    const sent = await sharp(Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')).metadata();
    assert.deepEqual([sent.format, sent.width, sent.height, sent.exif], ['jpeg', 683, 1_024, undefined]);
  });

  test('takes a photo that is pasted or dropped', async (t) => {
    const { page } = await visit(t, scene.browser);
    const buffer = sample('common_dandelion_0');
    for (const type of ['paste', 'drop']) {
      await open(page);
      await page.evaluate(`{
        const bytes = Uint8Array.from(atob('${buffer.toString('base64')}'), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], 'photo.jpg', { type: 'image/jpeg' }));
        window.dispatchEvent('${type}' === 'paste' ? new ClipboardEvent('paste', { clipboardData: data }) : new DragEvent('drop', { dataTransfer: data }));
      }`);
      await page.getByRole('button', { name: 'Remove photo 1' }).waitFor();
    }
  });

  test('feedback is kept, a shared link shows no photo unless its owner wants it, and what is deleted is gone', async (t) => {
    const { page, complaints } = await visit(t, scene.browser);
    await open(page);
    await choose(page, 'lily_of_the_valley_0');
    await page.waitForSelector('#candidates');
    const own = page.url();
    await page.getByRole('button', { name: 'Yes' }).click();
    await page.getByText('Thank you.', { exact: false }).waitFor();
    await page.reload();
    await page.getByText('Thank you.', { exact: false }).waitFor();

    await page.getByRole('button', { name: 'Share' }).click();
    await page.getByRole('button', { name: 'Make a link' }).click();
    const link = await page.getByLabel('Link', { exact: true }).inputValue();
    await keepScreenshot(page, 'share');
    const stranger = await visit(t, scene.browser, { locale: 'ko-KR' });
    await stranger.page.goto(link);
    await stranger.page.getByRole('heading', { name: '은방울꽃' }).waitFor();
    assert.equal(await stranger.page.locator('main img').count(), 0);
    await keepScreenshot(stranger.page, 'shared', true);
    await stranger.page.goto(own);
    await stranger.page.getByRole('heading', { name: '없는 페이지입니다' }).waitFor();

    await page.getByLabel('Show my photos too').check();
    await until('the photo behind the link', 30_000, async () => {
      await stranger.page.goto(link);
      await stranger.page.waitForSelector('#candidates');
      return (await stranger.page.locator('main img').count()) === 1 ? true : null;
    });
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await page.waitForURL(/\/mine$/);
    await stranger.page.goto(link);
    await stranger.page.getByRole('heading', { name: '없는 페이지입니다' }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test('what was found stands in the ranking, and one’s own list has it', async (t) => {
    const { page } = await visit(t, scene.browser, PHONE);
    await open(page);
    await choose(page, 'lily_of_the_valley_0');
    await page.waitForSelector('#candidates');
    await open(page, '/g/plants/mine');
    await page.locator('#identifications li', { hasText: 'Lily of the valley' }).waitFor();
    await keepScreenshot(page, 'mine-phone');
    await open(page, '/g/plants/ranking?window=all');
    // The first who asks for it here makes the snapshot.
    await page.locator('#ranking li', { hasText: 'Lily of the valley' }).waitFor();
    await keepScreenshot(page, 'ranking-phone');
  });

  test('the clothes guide works through the same pages', async (t) => {
    const { page, complaints } = await visit(t, scene.browser, { locale: 'ko-KR' });
    await open(page, '/g/clothes');
    assert.equal(await page.innerText('h1'), '이 옷은 어떤 옷일까요?');
    await page.setInputFiles('#choose', photoFile('clothes_dress'));
    await page.getByRole('button', { name: '알아보기', exact: true }).click();
    await page.waitForSelector('#candidates');
    assert.equal(await page.locator('#verdict').count(), 0);
    await keepScreenshot(page, 'clothes-result', true);
    assert.deepEqual(complaints, []);
  });

  test('results, one’s own list and shared links are free of barriers that axe finds, in both languages and themes', async (t) => {
    const { page } = await visit(t, scene.browser, { reducedMotion: 'reduce' });
    const addresses: string[] = [];
    for (const [photo, ready] of [
      ['lily_of_the_valley_0', '#verdict'],
      ['not_a_plant_2', 'details'],
    ] as const) {
      await open(page);
      await choose(page, photo);
      await page.waitForSelector(ready);
      addresses.push(new URL(page.url()).pathname);
    }
    await page.goto(scene.gateway.url + addresses[0]);
    await page.getByRole('button', { name: 'Share' }).click();
    await page.getByRole('button', { name: 'Make a link' }).click();
    const link = await page.getByLabel('Link', { exact: true }).inputValue();
    assert.deepEqual(await axeViolations(page), [], 'the share dialog');
    addresses.push(new URL(link).pathname, '/g/plants/mine', '/g/plants');
    for (const language of ['en', 'ko']) {
      await page.evaluate(`localStorage.setItem('postern.language', '${language}')`);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        for (const [index, address] of addresses.entries()) {
          await open(page, address);
          await untilIn(page, 'the skeletons to go', `document.querySelector('.skeleton') === null`);
          assert.deepEqual(await axeViolations(page), [], `${language} ${colorScheme} ${address}`);
          await keepScreenshot(page, `own-${index}-${language}-${colorScheme}`, true);
        }
      }
    }
  });

  // The last, because from the first key on nobody sends photos without one.
});
