/** Versions in the console, in a real browser: a real worker with several of them is told what to serve, and says what came of it. */
import assert from 'node:assert/strict';
import { after, before, suite, test, type TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { stringify } from 'yaml';
import { axeViolations } from '../support/axe.ts';
import { keepScreenshot, noBrowser, overflowOf, SMALL_PHONE, startBrowser, visit } from '../support/browser.ts';
import { makeVersionFolder, type VersionFolder } from '../support/model-versions.ts';
import { PosternSystem, untilModel, type Gateway } from '../support/postern.ts';

const echo = (version: string): string => stringify({ postern: 1, name: 'who', version, kind: 'echo', runner: 'echo' });
const broken = stringify({
  ...{ postern: 1, name: 'who', version: '3', kind: 'tensors', runner: 'onnx', file: 'model.onnx' },
});

suite('versions in the console', { skip: noBrowser(), timeout: 300_000 }, () => {
  let folder: VersionFolder;
  let system: PosternSystem;
  let gateway: Gateway;
  let browser: Browser;

  before(async () => {
    folder = await makeVersionFolder();
    for (const version of ['1', '2']) await folder.write('who', version, { 'postern.yaml': echo(version) });
    system = new PosternSystem({ modelsDir: folder.path });
    gateway = await system.gateway();
    system.worker(gateway, system.join(gateway, 'desk'));
    await untilModel(gateway.url, 'who', 60_000);
    browser = await startBrowser();
  });

  after(async () => {
    await browser?.close();
    await system?.remove();
    await folder?.remove();
  });

  async function open(t: TestContext, options: BrowserContextOptions = {}) {
    const visited = await visit(t, browser, options);
    await visited.page.goto(`${gateway.url}/console/models`);
    await visited.page.locator('[data-on=desk]').waitFor();
    return visited;
  }

  const dialog = (page: Page): Locator => page.locator('dialog[open]');
  const onDesk = (page: Page, version: string): Locator => page.locator(`[data-on=desk] [data-version="${version}"]`);

  test('deploys one with a share of the traffic and rolls it back, by keyboard', async (t) => {
    const { page, complaints } = await open(t);
    const card = page.getByRole('article', { name: 'who' });
    await card.getByText('@2 serves', { exact: true }).waitFor();
    await onDesk(page, '1').getByText('On disk', { exact: true }).waitFor();

    const deploy = card.getByRole('button', { name: 'Deploy' });
    await deploy.focus();
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate('document.activeElement.name'), 'version');
    assert.deepEqual(await dialog(page).locator('option').allInnerTexts(), ['@2 (serves now)', '@1']);
    assert.equal(await dialog(page).getByLabel('Version').inputValue(), '1');
    assert.deepEqual(await axeViolations(page), []);
    await keepScreenshot(page, 'console-deploy');
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Deploy who');

    await page.keyboard.press('Enter');
    await dialog(page).getByLabel('Share of the traffic').fill('20');
    await page.keyboard.press('Enter');
    await card.locator('[data-rollout=active]', { hasText: '@1 deployed with 20 %' }).waitFor();
    await onDesk(page, '1').getByText('Ready', { exact: true }).waitFor();
    await card.getByText('20 % of the traffic').waitFor();
    await card.getByText('80 % of the traffic').waitFor();
    await keepScreenshot(page, 'console-models-weighed');

    const back = card.getByRole('button', { name: 'Back to @2' });
    await back.focus();
    await page.keyboard.press('Enter');
    await dialog(page).getByText('Back to @2 of who?').waitFor();
    await dialog(page).getByRole('button', { name: 'Back to @2' }).focus();
    await page.keyboard.press('Enter');
    await card.locator('[data-rollout=active]', { hasText: '@2 deployed with 100 %' }).waitFor();
    await card.getByText('@2 serves', { exact: true }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test('says why a deployment did not come about, and what serves all the same', async (t) => {
    await folder.write('who', '3', { 'postern.yaml': broken, 'model.onnx': 'no network' });
    for (const options of [{}, { ...SMALL_PHONE, locale: 'ko-KR', colorScheme: 'dark' as const }]) {
      const { page } = await open(t, options);
      await onDesk(page, '3').waitFor();
      if (!('locale' in options)) {
        await page.getByRole('button', { name: 'Deploy who' }).click();
        await dialog(page).getByLabel('Version').selectOption('3');
        await dialog(page).getByRole('button', { name: 'Deploy' }).click();
      }
      await page.locator('[data-rollout=failed]').waitFor();
      await page.getByText(/^(@3 could not be deployed: |@3 배포 실패: )/).waitFor();
      await page.getByText(/^(@2 serves|@2 제공 중)$/).waitFor();
      assert.deepEqual(await axeViolations(page), []);
      assert.equal(await overflowOf(page), 0);
      await keepScreenshot(page, `console-models-failed${'locale' in options ? '-ko-320' : ''}`, true);
    }
  });
});
