/**
 * The console in a real browser, against real processes: what an administrator sees and does, live, and who is kept out. One
 * gateway for all, in the order of its life: first without keys, then with its worker gone, at last with keys.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test, type TestContext } from 'node:test';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { axeViolations } from '../support/axe.ts';
import { keepScreenshot, noBrowser, overflowOf, PHONE, SMALL_PHONE, startBrowser, visit } from '../support/browser.ts';
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';

const SECTIONS = ['', '/workers', '/models', '/jobs', '/keys', '/audit'];

interface Shown {
  readonly id: string;
  readonly status: string;
}

suite('the console', { skip: noBrowser(), timeout: 600_000 }, () => {
  let system: PosternSystem;
  let gateway: Gateway;
  let worker: Process;
  let identity: string;
  let browser: Browser;
  /** Once there is one. */
  let adminKey = '';
  let cookies: Awaited<ReturnType<BrowserContext['cookies']>> = [];

  before(async () => {
    system = new PosternSystem();
    gateway = await system.gateway();
    identity = system.join(gateway, 'desk');
    worker = system.worker(gateway, identity);
    await untilModel(gateway.url, 'echo', 60_000);
    for (let n = 0; n < 3; n += 1) assert.equal((await predict()).status, 'succeeded');
    browser = await startBrowser();
  });

  after(async () => {
    await browser?.close();
    await system?.remove();
  });

  async function predict(headers: Record<string, string> = { prefer: 'wait' }): Promise<Shown> {
    const response = await fetch(`${gateway.url}/v1/models/local/echo/predictions`, {
      method: 'POST',
      body: '{"input": {"hello": "console"}}',
      headers: { 'content-type': 'application/json', ...headers },
    });
    assert.ok(response.ok, await response.clone().text());
    return (await response.json()) as Shown;
  }

  async function open(t: TestContext, address = '', options: BrowserContextOptions = {}) {
    const visited = await visit(t, browser, options);
    await visited.page.goto(`${gateway.url}/console${address}`);
    await visited.page.waitForSelector('h1');
    return visited;
  }

  const live = (page: Page): Promise<void> =>
    page
      .locator('header')
      .getByText(/^(Live|실시간)$/)
      .waitFor();
  const rowOf = (page: Page, id: string): Locator => page.locator(`tr[data-job="${id}"]`);
  const drawer = (page: Page): Locator => page.locator('dialog[open]');

  /** As somebody who signs in; the key is made on the gateway's machine before. */
  async function signedIn(t: TestContext, address = '') {
    const visited = await open(t, address);
    await visited.page.fill('input[type=password]', adminKey);
    await visited.page.keyboard.press('Enter');
    await visited.page.getByRole('navigation', { name: 'Console' }).waitFor();
    cookies = await visited.context.cookies();
    return visited;
  }

  /** In another window of the same person: sign-ins are throttled. */
  async function stillIn(t: TestContext, address: string) {
    const visited = await visit(t, browser);
    await visited.context.addCookies(cookies);
    await visited.page.goto(`${gateway.url}/console${address}`);
    await visited.page.getByRole('navigation', { name: 'Console' }).waitFor();
    return visited;
  }

  test('opens without a sign-in for the owner of a gateway without keys, and is live', async (t) => {
    const { page, complaints } = await open(t);
    await live(page);
    assert.equal(await page.innerText('h1'), 'Overview');
    assert.equal(await page.title(), 'Overview · Postern Console');
    await page.getByText('There are no API keys yet').waitFor();
    // The charts are drawn from real points, and say in words what they show.
    const chart = page.getByRole('figure', { name: 'Throughput' }).getByRole('img');
    await until('a point in the chart', 60_000, async () =>
      /Succeeded: now [\d.]+, at most [\d.]+/.test((await chart.getAttribute('aria-label')) ?? '') ? true : null,
    );
    await page.getByText('desk', { exact: true }).waitFor();
    await keepScreenshot(page, 'console-overview', true);
    assert.deepEqual(complaints, []);
  });

  test('shows workers with round trip, certificate and credit, and models with their versions', async (t) => {
    const { page, complaints } = await open(t, '/workers');
    const desk = page.locator('[data-worker=desk]');
    await desk.getByText('Connected', { exact: true }).waitFor();
    await desk.getByText(/^2[34] hours left$/).waitFor();
    await desk.getByText(/^[\d.]+ (µs|ms)$/).waitFor();
    await desk
      .getByText(/^credit for \d+ more, 0 running$/)
      .first()
      .waitFor();
    await page.getByRole('link', { name: 'Models' }).click();
    const echo = page.getByRole('article', { name: 'echo' });
    await echo.getByRole('list', { name: 'Versions' }).getByText('@1').waitFor();
    await echo.getByText('1 worker').waitFor();
    // From a model to its jobs.
    await echo.getByRole('link', { name: /Its jobs/ }).click();
    await page.waitForURL(/console\/jobs\?model=echo$/);
    await page.locator('tr[data-status=succeeded]').first().waitFor();
    assert.deepEqual(complaints, []);
  });

  test('has no violation of the rules of accessibility on any page, in both languages and themes', async (t) => {
    for (const [locale, colorScheme] of [
      ['en-US', 'light'],
      ['en-US', 'dark'],
      ['ko-KR', 'light'],
      ['ko-KR', 'dark'],
    ] as const) {
      const { page, complaints } = await open(t, '', { locale, colorScheme, reducedMotion: 'reduce' });
      await live(page);
      for (const section of SECTIONS) {
        await page.click(`nav a[href="/console${section}"]`);
        await page.waitForURL(`${gateway.url}/console${section}`);
        await page.locator('main .skeleton').waitFor({ state: 'detached' });
        assert.deepEqual(await axeViolations(page), [], `${section} ${locale} ${colorScheme}`);
        await keepScreenshot(page, `console${section.replace('/', '-')}-${locale}-${colorScheme}`);
      }
      await page.click('nav a[href="/console/jobs"]');
      await page.locator('tr[data-job] button').first().click();
      await drawer(page).locator('dl').waitFor();
      assert.deepEqual(await axeViolations(page), [], `a job, ${locale} ${colorScheme}`);
      await keepScreenshot(page, `console-job-${locale}-${colorScheme}`);
      await page.keyboard.press('Escape');
      await page.goto(`${gateway.url}/console/keys?new=1`);
      await drawer(page).locator('form').waitFor();
      assert.deepEqual(await axeViolations(page), [], `a new key, ${locale} ${colorScheme}`);
      assert.deepEqual(complaints, []);
    }
  });

  test('fits phones, down to 320 pixels', async (t) => {
    for (const options of [PHONE, SMALL_PHONE]) {
      const { page } = await open(t, '', { ...options, locale: 'ko-KR' });
      for (const section of SECTIONS) {
        await page.goto(`${gateway.url}/console${section}`);
        await page.waitForSelector('h1');
        await page.locator('main .skeleton').waitFor({ state: 'detached' });
        assert.equal(await overflowOf(page), 0, `${section} at ${options.viewport?.width}`);
        await keepScreenshot(page, `console${section.replace('/', '-')}-${options.viewport?.width}`);
      }
    }
  });

  test('is used by keyboard: along the jobs by arrows, in by Enter, out by Escape, and back where one was', async (t) => {
    const { page } = await open(t, '/jobs');
    const rows = page.locator('button[data-row]');
    await rows.nth(2).waitFor();
    await rows.first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    const third = await page.evaluate<string>('document.activeElement.closest("tr").dataset.job');
    assert.equal(third, await page.locator('tr[data-job]').nth(2).getAttribute('data-job'));
    await page.keyboard.press('Enter');
    await drawer(page).getByText(third).waitFor();
    // Where its time went adds up.
    await drawer(page)
      .getByRole('row', { name: /^Total/ })
      .waitFor();
    await page.keyboard.press('Escape');
    await drawer(page).waitFor({ state: 'detached' });
    assert.equal(await page.evaluate('document.activeElement.closest("tr")?.dataset.job'), third);
  });

  test('shows a worker that drops while one looks, and what waits for it', async (t) => {
    const { page, complaints } = await open(t, '/workers');
    const desk = page.locator('[data-worker=desk]');
    await desk.getByText('Connected', { exact: true }).waitFor();
    await worker.kill();
    await page.waitForSelector('[data-worker=desk][data-state=away]');
    await desk.getByText('Away', { exact: true }).waitFor();
    await keepScreenshot(page, 'console-worker-away');
    const { id, status } = await predict({});
    assert.equal(status, 'starting');
    await page.click('nav a[href="/console/jobs"]');
    await rowOf(page, id).getByText('Waiting', { exact: true }).waitFor();

    // Cancel it.
    await rowOf(page, id).locator('button').click();
    await drawer(page).getByText('next', { exact: true }).waitFor();
    await drawer(page).getByRole('button', { name: 'Cancel' }).click();
    await drawer(page).getByText('Canceled', { exact: true }).waitFor();
    await page.keyboard.press('Escape');
    await page.waitForSelector(`tr[data-job="${id}"][data-status=canceled]`);
    assert.deepEqual(complaints, []);
  });

  test('tries again what came too late, once the worker is back', async (t) => {
    const { id } = await predict({ 'cancel-after': '1' });
    const { page, complaints } = await open(t, '/jobs');
    await page.waitForSelector(`tr[data-job="${id}"][data-status=aborted]`);
    worker = system.worker(gateway, identity);
    await page.click('nav a[href="/console/workers"]');
    await page.waitForSelector('[data-worker=desk][data-state=connected]');
    await page.click('nav a[href="/console/jobs"]');
    await rowOf(page, id).locator('button').click();
    await drawer(page).getByRole('button', { name: 'Try again' }).click();
    // The drawer goes on to the new job.
    await page.waitForURL((url) => ![null, id].includes(url.searchParams.get('job')));
    const again = new URL(page.url()).searchParams.get('job') ?? '';
    await drawer(page).getByText('Succeeded', { exact: true }).waitFor();
    const output = await fetch(`${gateway.url}/v1/predictions/${again}/output`);
    assert.deepEqual(await output.json(), { hello: 'console' });
    assert.deepEqual(complaints, []);
  });

  test('comes back by itself when the gateway is restarted', async (t) => {
    const { page } = await open(t);
    await live(page);
    const { httpPort, tunnelPort } = gateway;
    await gateway.stop();
    await page.locator('header').getByText('Reconnecting', { exact: true }).waitFor();
    await page.getByText(/^The live view is cut\./).waitFor();
    gateway = await system.gateway({ httpPort, tunnelPort });
    await live(page);
    await page.getByText(/^The live view is cut\./).waitFor({ state: 'detached' });
    await untilModel(gateway.url, 'echo', 60_000);
  });

  test('makes the first key, keeps its maker signed in, shows each key once, and ends one', async (t) => {
    const { page, complaints } = await open(t, '/keys');
    const addresses: string[] = [];
    page.on('request', (request) => void addresses.push(request.url()));
    const make = async (name: string): Promise<string> => {
      await page.getByRole('button', { name: 'New key' }).click();
      await drawer(page).getByLabel('Name').fill(name);
      await page.keyboard.press('Enter');
      const key = await drawer(page)
        .locator('code', { hasText: /^postern_/ })
        .innerText();
      assert.match(key, /^postern_/);
      await drawer(page).getByRole('button', { name: 'I have it' }).click();
      // The page's entry, and not the drawer that is just closing: its title has the name in it, too.
      await page.getByRole('heading', { name: new RegExp(`^${name}\\b`) }).waitFor();
      return key;
    };
    adminKey = await make('ada');
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    assert.equal((await fetch(`${gateway.url}/v1/admin/keys`)).status, 401);

    const webKey = await make('web');
    const asWeb = (): Promise<Response> =>
      fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${webKey}` } });
    assert.equal((await asWeb()).status, 200);
    for (const key of [adminKey, webKey]) {
      assert.ok(!(await page.content()).includes(key.slice(20)));
      assert.ok(!addresses.some((address) => address.includes(key.slice(20))));
      assert.ok(
        !(
          await page.evaluate<string>('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])')
        ).includes(key.slice(20)),
      );
    }
    await keepScreenshot(page, 'console-keys-signed-in');
    await page.getByRole('button', { name: 'Revoke web' }).click();
    await drawer(page).getByRole('button', { name: 'Revoke' }).click();
    await page.locator('[data-key] h2 span', { hasText: /^web$/ }).waitFor({ state: 'detached' });
    assert.equal((await asWeb()).status, 401);
    assert.deepEqual(complaints, []);
  });

  test('has all of that in the audit log, with who did it', async (t) => {
    const { page } = await signedIn(t, '/audit');
    for (const action of ['key.create', 'key.revoke', 'job.cancel', 'job.retry', 'login.success', 'worker.join']) {
      await page.waitForSelector(`tr[data-action="${action}"]`);
    }
    const text = await page.innerText('tr[data-action="job.retry"]');
    assert.match(text, /job:[0-9a-f-]{36}/);
    assert.match(text, /again=[0-9a-f-]{36}/);
    assert.match(await page.innerText('tr[data-action="key.revoke"]'), /key:/);
    await keepScreenshot(page, 'console-audit-signed-in');
  });

  test('lets nobody in without the key, and says what is wrong with one', async (t) => {
    const { page } = await open(t, '/jobs');
    await page.getByLabel('API key').waitFor();
    assert.equal(await page.locator('table').count(), 0);
    for (const [locale, colorScheme] of [
      ['en-US', 'light'],
      ['ko-KR', 'dark'],
    ] as const) {
      const { page: other } = await open(t, '', { locale, colorScheme });
      await other.locator('input[type=password]').waitFor();
      assert.deepEqual(await axeViolations(other), []);
      await keepScreenshot(other, `console-login-${locale}`);
    }
    await page.fill(
      'input[type=password]',
      adminKey.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
    );
    await page.keyboard.press('Enter');
    await page.getByText('This key does not count here').waitFor();
    const reader = JSON.parse(system.command('gateway', ['keys', 'create', 'reader', '--scope', 'read', '--json'])) as {
      key: string;
    };
    await page.fill('input[type=password]', reader.key);
    await page.keyboard.press('Enter');
    await page.getByText('This key has no scope admin.').waitFor();
    for (const path of ['live', 'series', 'predictions', 'keys', 'audit', 'workers', 'whoami']) {
      assert.equal((await fetch(`${gateway.url}/v1/admin/${path}`)).status, 401, path);
    }
  });

  test('takes writes from its own pages alone: not without the proof, not from another site', async (t) => {
    const { page, context } = await stillIn(t, '/keys');
    const write = `fetch('/v1/admin/keys', { method: 'POST', body: '{"name":"forged"}', headers: { 'content-type': 'application/json' } }).then((r) => r.status)`;
    assert.equal(await page.evaluate(write), 403);
    // A page of another site, in the same browser: to be sent there is as far as it gets.
    const form = `<form method="post" enctype="text/plain" action="${gateway.url}/v1/admin/keys"><input name='{"name":"forged","x":"' value='"}'></form><script>document.forms[0].submit()</script>`;
    const site = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(form));
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    t.after(() => site.close());
    const evil = await context.newPage();
    const answered = evil.waitForResponse(`${gateway.url}/v1/admin/keys`);
    await evil.goto(`http://localhost:${(site.address() as AddressInfo).port}`);
    assert.ok([401, 403].includes((await answered).status()));
    await page.reload();
    await page.getByRole('heading', { name: /^ada\b/ }).waitFor();
    assert.equal(await page.getByRole('heading', { name: /^forged\b/ }).count(), 0);
  });

  test('signs out, and is closed in the moment in which its key ends', async (t) => {
    const { page, context } = await stillIn(t, '/workers');
    const second = await context.newPage();
    await second.goto(`${gateway.url}/console/jobs`);
    await live(second);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('API key').waitFor();
    // The other tab learns of it through its live view.
    await second.getByLabel('API key').waitFor();
    assert.equal(await second.locator('tr[data-job]').count(), 0);

    const { page: last } = await signedIn(t);
    await live(last);
    const { results } = (await (
      await fetch(`${gateway.url}/v1/admin/keys`, { headers: { authorization: `Bearer ${adminKey}` } })
    ).json()) as { results: { id: string; name: string }[] };
    system.command('gateway', ['keys', 'revoke', results.find(({ name }) => name === 'ada')?.id ?? '']);
    await last.getByLabel('API key').waitFor();
  });
});
