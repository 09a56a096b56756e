/** Identifying where something is in the way: a proxy that lets no request wait, a browser that keeps nothing. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { Page } from 'playwright-core';
import { visit } from '../../support/browser.ts';
import { startImpatientProxy } from '../../support/impatient-proxy.ts';
import { until } from '../../support/postern.ts';
import { noScene, photoFile, startWebScene, type WebScene } from '../../support/web-scene.ts';

suite('identifying with hindrances', { skip: noScene(), timeout: 280_000 }, () => {
  let scene: WebScene;
  before(async () => void (scene = await startWebScene()));
  after(() => scene?.stop());

  async function identify(page: Page, url: string, photo: string): Promise<void> {
    await page.goto(`${url}/g/plants`);
    await page.waitForSelector('h1');
    await page.setInputFiles('#choose', [photoFile(photo)]);
    await page.locator('button', { hasText: 'Identify' }).last().waitFor();
    await page.getByRole('button', { name: 'Identify', exact: true }).click();
  }

  test('where no request may wait, short questions take the place of long ones', async (t) => {
    const proxy = await startImpatientProxy(scene.gateway.url, 1_000);
    t.after(() => proxy.stop());
    const { page, complaints } = await visit(t, scene.browser);
    process.kill(scene.worker().pid, 'SIGSTOP');
    t.after(() => process.kill(scene.worker().pid, 'SIGCONT'));
    // A browser asks again by itself when a connection that it has used before is cut; these are what the page hears of.
    const failed: string[] = [];
    page.on('requestfailed', (request) => {
      if (request.url().includes('?wait=')) failed.push(request.url());
    });
    await identify(page, proxy.url, 'lily_of_the_valley_0');
    const questions = (): typeof proxy.seen =>
      proxy.seen.filter(({ line }) => /^GET \/api\/identifications\/[\w-]+(\?wait=\d+)?$/.test(line));
    await until('two short questions after two long ones that were cut', 60_000, () => {
      const asked = questions();
      const lastCut = asked.findLastIndex(({ isCut }) => isCut);
      return Promise.resolve(
        asked.filter(({ isCut }) => isCut).length >= 2 && asked.length >= lastCut + 3 ? true : null,
      );
    });
    process.kill(scene.worker().pid, 'SIGCONT');
    await page.waitForSelector('#verdict[data-verdict=dangerous]');
    const asked = questions();
    const cut = asked.filter(({ isCut }) => isCut);
    assert.equal(failed.length, 2, JSON.stringify(asked));
    assert.ok(cut.every(({ line }) => line.includes('wait=')));
    assert.ok(asked.slice(asked.lastIndexOf(cut.at(-1)!) + 1).every(({ line }) => !line.includes('wait=')));
    assert.deepEqual(complaints, []);
  });

  test('where the browser keeps nothing, a photo is identified all the same', async (t) => {
    const { page, complaints } = await visit(t, scene.browser);
    // As some private windows do; Chromium has no switch for it.
    await page.addInitScript(`Object.defineProperty(IDBFactory.prototype, 'open', {
      value() { throw new DOMException('A mutation operation was attempted on a database that did not allow mutations.', 'InvalidStateError'); }
    })`);
    await identify(page, scene.gateway.url, 'common_dandelion_0');
    await page.waitForSelector('#candidates');
    assert.match(await page.innerText('h1'), /[Dd]andelion/);
    assert.deepEqual(complaints, []);
  });
});
