/** What the writer of the SQLite driver gets. */
import type { DiskLimits } from '../disk-limits.ts';

export interface WriterOptions extends DiskLimits {
  readonly path: string;
}
