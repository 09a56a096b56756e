/** A gateway that asks for keys, in a real browser. It has a gateway of its own: the first key changes it for everybody. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { keepScreenshot, visit } from '../../support/browser.ts';
import { until } from '../../support/postern.ts';
import { noScene, photoFile, startWebScene, type WebScene } from '../../support/web-scene.ts';

suite('identifying where a key is needed', { skip: noScene(), timeout: 280_000 }, () => {
  let scene: WebScene;
  before(async () => void (scene = await startWebScene()));
  after(() => scene?.stop());

  test('asks for a key when the gateway does, and keeps it to its tab', async (t) => {
    const { page, context } = await visit(t, scene.browser);
    const { key } = JSON.parse(scene.system.command('gateway', ['keys', 'create', 'web', '--json'])) as { key: string };
    await until('the gateway to ask for keys', 30_000, async () =>
      (await fetch(`${scene.gateway.url}/v1/models`)).status === 401 ? true : null,
    );
    await page.goto(`${scene.gateway.url}/g/plants`);
    await page.waitForSelector('h1');
    await page.setInputFiles('#choose', [photoFile('lily_of_the_valley_0')]);
    await page.locator('button', { hasText: 'Identify' }).last().waitFor();
    await page.getByRole('button', { name: 'Identify', exact: true }).click();
    await page.getByText('This gateway asks for a key').waitFor();
    await keepScreenshot(page, 'key');
    await page.locator('input[type=password]').fill('postern_nobody_has_this');
    await page.getByRole('button', { name: 'Use this key' }).click();
    await page.getByRole('alert').filter({ hasText: 'did not take that key' }).waitFor();
    await page.locator('input[type=password]').fill(key);
    await page.getByRole('button', { name: 'Use this key' }).click();
    await page.waitForSelector('#verdict');
    assert.equal(await page.evaluate(`Object.values(localStorage).includes('${key}')`), false);
    for (const one of context.pages()) assert.ok(!one.url().includes(key));
  });
});
