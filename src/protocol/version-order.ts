/** Which of two versions of a model is the newer one, by their names. */

const order = new Intl.Collator('en', { numeric: true });

/** Numbers inside a version count as numbers: 2 < 10, 1.9 < 1.10. */
export function compareVersions(a: string, b: string): number {
  return order.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}
