/** Reading the guide in a real browser: search as one types, all of it by scrolling, filters in the address, every page without barriers. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { Page } from 'playwright-core';
import { axeViolations } from '../../support/axe.ts';
import { keepScreenshot, noBrowser, overflowOf, PHONE, SMALL_PHONE, untilIn, visit } from '../../support/browser.ts';
import { startWebScene, type WebScene } from '../../support/web-scene.ts';

suite('the guide in the browser', { skip: noBrowser(), timeout: 280_000 }, () => {
  let scene: WebScene;
  before(async () => void (scene = await startWebScene({ worker: false })));
  after(() => scene?.stop());

  const open = async (page: Page, path: string): Promise<void> => {
    await page.goto(scene.gateway.url + path);
    await page.waitForSelector('h1');
  };
  /** The field in the head; on a phone there is another one in the page. */
  const field = (page: Page) => page.locator('input[role=combobox]:visible').first();

  for (const [locale, typed, name] of [
    ['ko-KR', '은방우', '은방울꽃'],
    ['en-US', 'foxgl', 'Foxglove'],
    ['en-US', 'fxoglove', 'Foxglove'],
    ['en-US', 'digitalis', 'Foxglove'],
    ['ko-KR', 'elrlxkffltm', '디기탈리스'],
  ] as const) {
    test(`typing ${typed} finds ${name}, and the keyboard opens it`, async (t) => {
      const { page, complaints } = await visit(t, scene.browser, { locale });
      await open(page, '/g/plants/ranking');
      await page.keyboard.press('/');
      await page.keyboard.type(typed, { delay: 20 });
      // At the top: of what is typed so far it may be one of several.
      await page.getByRole('option').first().filter({ hasText: name }).waitFor();
      await page.keyboard.press('ArrowDown');
      const active = await field(page).getAttribute('aria-activedescendant');
      assert.equal(await page.locator(`[id="${active}"]`).getAttribute('aria-selected'), 'true');
      assert.match(await page.locator(`[id="${active}"]`).innerText(), new RegExp(name));
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { level: 1, name }).waitFor();
      await untilIn(page, 'the focus on the heading', `document.activeElement?.tagName === 'H1'`);
      assert.deepEqual(complaints, []);
    });
  }

  test('escape closes the list, then empties the field; enter without a choice shows all results', async (t) => {
    const { page } = await visit(t, scene.browser);
    await open(page, '/g/plants/guide');
    await field(page).fill('iris');
    await page.getByRole('listbox').waitFor();
    await keepScreenshot(page, 'search');
    await page.keyboard.press('Escape');
    assert.equal(await page.getByRole('listbox').count(), 0);
    assert.equal(await field(page).inputValue(), 'iris');
    await page.keyboard.press('Escape');
    assert.equal(await field(page).inputValue(), '');
    await field(page).fill('iris');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\?q=iris$/);
    await page.locator('main li', { hasText: 'iris' }).first().waitFor();
  });

  test('the key that ends the composition of a Korean syllable opens nothing', async (t) => {
    const { page, context } = await visit(t, scene.browser, { locale: 'ko-KR' });
    await open(page, '/g/plants/ranking');
    await field(page).focus();
    const session = await context.newCDPSession(page);
    await session.send('Input.imeSetComposition', { text: '장', selectionStart: 1, selectionEnd: 1 });
    await page.getByRole('option').first().waitFor();
    // As input methods send it: 229 while the syllable is being composed.
    await session.send('Input.dispatchKeyEvent', {
      type: 'keyDown',
      windowsVirtualKeyCode: 229,
      key: 'Enter',
      code: 'Enter',
    });
    await session.send('Input.insertText', { text: '장' });
    assert.match(page.url(), /\/ranking$/);
    assert.equal(await field(page).inputValue(), '장');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/guide\?q=/);
  });

  test('scrolling shows every entry, however many there are', async (t) => {
    const { page, complaints } = await visit(t, scene.browser, PHONE);
    await open(page, '/g/plants/guide');
    const seen = new Set<string>();
    const all = Number(/\d+/.exec(await page.getByText('entries', { exact: false }).first().innerText())?.[0]);
    let most = 0;
    // A bound, not a wait: a screen at a time, and a page of this guide has twenty of them.
    for (let screen = 0; screen < 400; screen += 1) {
      const links = await page.evaluate<string[]>(
        `[...document.querySelectorAll('main li a')].map((link) => link.href)`,
      );
      for (const link of links) seen.add(link);
      most = Math.max(most, links.length);
      if (seen.size === all && (await page.getByText('That is all.').count()) === 1) break;
      await page.mouse.wheel(0, 500);
      await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    }
    assert.equal(seen.size, all);
    assert.ok(most < all / 2, `${most} of ${all} entries were in the page at once`);
    assert.deepEqual(complaints, []);
  });

  test('filters stand in the address, and going back keeps the place', async (t) => {
    const { page } = await visit(t, scene.browser);
    await open(page, '/g/plants/guide');
    await page.getByRole('button', { name: 'Deadly poisonous' }).click();
    await page.waitForURL(/level=deadly/);
    const deadly = page.locator('main li a', { hasText: 'Deadly poisonous' });
    await deadly.first().waitFor();
    await page.getByLabel('Family').selectOption('Ranunculaceae');
    await page.waitForURL(/family=Ranunculaceae/);
    await page.reload();
    await page.locator('main li a').first().waitFor();
    assert.equal(await page.getByRole('button', { name: 'Deadly poisonous' }).getAttribute('aria-pressed'), 'true');
    await open(page, '/g/plants/guide');
    await page.mouse.wheel(0, 1_500);
    await untilIn(page, 'the scroll', 'scrollY > 1000');
    const before = await page.evaluate<number>('scrollY');
    await page.mouse.click(640, 430);
    await page.getByText('All of the guide').waitFor();
    await page.goBack();
    await page.locator('main li a').first().waitFor();
    await untilIn(page, 'the place from before', `Math.abs(scrollY - ${before}) < 100`);
  });

  test('the language follows the browser, can be changed, and the choice stays', async (t) => {
    const { page } = await visit(t, scene.browser, { locale: 'ko-KR' });
    await open(page, '/g/plants');
    assert.equal(await page.getAttribute('html', 'lang'), 'ko');
    assert.equal(await page.innerText('h1'), '이 식물은 무엇이고, 독이 있을까요?');
    await page.getByRole('button', { name: '설정: 한국어' }).click();
    await page.getByRole('menuitemradio', { name: 'English' }).click();
    await page.getByRole('heading', { name: 'Which plant is this' }).waitFor();
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await page.reload();
    await page.getByRole('heading', { name: 'Which plant is this' }).waitFor();
    await page.getByRole('button', { name: 'Settings: English' }).click();
    await page.getByRole('menuitemradio', { name: 'Dark' }).click();
    assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
  });

  test('an address that does not exist says so, and leads home', async (t) => {
    const { page } = await visit(t, scene.browser);
    for (const path of [
      '/nothing/here',
      '/g/plants/guide/no_such_plant',
      '/s/nobody',
      '/g/plants/mine/nobody',
      '/g/fish',
    ]) {
      await open(page, path);
      await page.getByRole('heading', { name: 'This page does not exist' }).waitFor();
      await page.getByRole('link', { name: 'To the first page' }).waitFor();
    }
  });

  const PAGES = [
    '/g/plants',
    '/g/plants/guide',
    '/g/plants/guide?q=zzzzqqq',
    '/g/plants/guide/foxglove',
    '/g/plants/ranking',
    '/g/plants/mine',
    '/g/clothes',
    '/about',
    '/nothing',
  ];

  for (const colorScheme of ['light', 'dark'] as const) {
    for (const locale of ['en-US', 'ko-KR']) {
      test(`every page is free of barriers that axe finds: ${locale}, ${colorScheme}`, async (t) => {
        const { page, complaints } = await visit(t, scene.browser, { locale, colorScheme, reducedMotion: 'reduce' });
        for (const path of PAGES) {
          await open(page, path);
          await untilIn(page, 'the skeletons to go', `document.querySelector('.skeleton') === null`);
          assert.deepEqual(await axeViolations(page), [], path);
          const name = path.replace(/^\/(g\/)?/, '').replaceAll(/[/?=]/g, '-');
          await keepScreenshot(page, `${name}-${locale.slice(0, 2)}-${colorScheme}`);
        }
        // What is over the page is of it too.
        await open(page, '/g/plants/guide');
        await field(page).fill('a');
        await page.getByRole('listbox').waitFor();
        assert.deepEqual(await axeViolations(page), [], 'search');
        assert.deepEqual(complaints, []);
      });
    }
  }

  test('fits a phone of 320 pixels on every page, in both languages', async (t) => {
    for (const locale of ['en-US', 'ko-KR']) {
      const { page } = await visit(t, scene.browser, { ...SMALL_PHONE, locale });
      for (const path of PAGES) {
        await open(page, path);
        await untilIn(page, 'the skeletons to go', `document.querySelector('.skeleton') === null`);
        assert.equal(await overflowOf(page), 0, `${locale} ${path}`);
        const name = path.replace(/^\/(g\/)?/, '').replaceAll(/[/?=]/g, '-');
        await keepScreenshot(page, `${name}-320-${locale.slice(0, 2)}`);
      }
    }
  });

  test('on a phone search opens over the page, and closes with escape', async (t) => {
    const { page } = await visit(t, scene.browser, { ...PHONE, locale: 'ko-KR' });
    await open(page, '/g/plants/ranking');
    await page.getByRole('button', { name: '검색' }).click();
    await page.locator('dialog input').fill('은방울');
    await page
      .getByRole('option', { name: /은방울꽃/ })
      .first()
      .waitFor();
    await keepScreenshot(page, 'search-phone');
    await page
      .getByRole('option', { name: /은방울꽃/ })
      .first()
      .click();
    await page.getByRole('heading', { level: 1, name: '은방울꽃' }).waitFor();
    assert.equal(await page.locator('dialog[open]').count(), 0);
  });
});
