/** Writes the documents that are made from the source. Tests compare them, so forgetting to run this is noticed. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { renderErrorsMarkdown } from '../src/gateway/http/error-pages.ts';

await writeFile(path.join(import.meta.dirname, '../docs/errors.md'), renderErrorsMarkdown());
console.log('docs/errors.md written');
