/** Debian's Chromium for tests: found, started, and listened to; pages whose complaints fail the test that opened them. */
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { lacking } from './needs.ts';
import { until } from './postern.ts';

/** Debian's name first; the others are what other systems call it. */
const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const folders = (process.env.PATH ?? '').split(delimiter);
const executablePath = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
const SCREENSHOTS = new URL('../../test-results/web', import.meta.url).pathname;

/** What node:test takes as `skip`. */
export const noBrowser = (): false | string =>
  executablePath === undefined && lacking(`none of ${NAMES.join(', ')} is installed`);

export async function startBrowser(): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox', '--disable-gpu'] });
}

export const DESK: BrowserContextOptions = { viewport: { width: 1280, height: 860 } };
export const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true };
export const SMALL_PHONE: BrowserContextOptions = { ...PHONE, viewport: { width: 320, height: 640 } };

export interface Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the page's scripts and the browser complained of. A refused request is no complaint of the page. */
  readonly complaints: string[];
}

export async function visit(t: TestContext, browser: Browser, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ locale: 'en-US', ...DESK, ...options });
  t.after(() => context.close());
  const complaints: string[] = [];
  const page = await context.newPage();
  listen(page, complaints);
  return { context, page, complaints };
}

export function listen(page: Page, complaints: string[]): void {
  // For a machine that is busy with other things; nothing here takes a second on a quiet one.
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('Failed to load resource'))
      complaints.push(message.text());
  });
}

/** Kept in `test-results/web`, for people to look at. */
export async function keepScreenshot(page: Page, name: string, fullPage = false): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage });
}

/** Pixels by which the page is wider than its window. */
export const overflowOf = (page: Page): Promise<number> =>
  page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth');

/** Resolves when the expression is true in the page. (Playwright's own way evaluates in the page, which its policy forbids.) */
export const untilIn = (page: Page, what: string, expression: string): Promise<boolean> =>
  until(what, 60_000, async () => ((await page.evaluate<boolean>(expression)) ? true : null));

/** Resolves when the service worker has kept the app's files: from then on it opens without a network. */
export const shellKept = (page: Page): Promise<boolean> =>
  untilIn(
    page,
    'the service worker',
    `navigator.serviceWorker.getRegistration().then((r) => r?.active?.state === 'activated')`,
  );
