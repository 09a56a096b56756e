/** The accessibility rules of axe-core, run in a page: WCAG 2.2 A and AA, and axe's own best practices. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const SOURCE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

interface Violation {
  readonly id: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** What breaks a rule, one text each; empty: nothing does. */
export async function axeViolations(page: Page): Promise<string[]> {
  // As the debugger's own words, because the policy of the page lets no script in.
  await page.evaluate(SOURCE);
  const run = `axe.run(document, { runOnly: { type: 'tag', values: ${JSON.stringify(TAGS)} }, resultTypes: ['violations'] })`;
  const { violations } = await page.evaluate<{ violations: Violation[] }>(run);
  return violations.map(({ id, help, nodes }) => {
    const [first] = nodes;
    return `${id} (${help}), ${nodes.length} times: ${first?.html.slice(0, 300)} ${first?.failureSummary}`;
  });
}
