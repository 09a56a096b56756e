/** The table of errors with its guide, as `docs/errors.md` and as the page at `/docs/errors`. */
import { ERROR_CODES, type ErrorCode } from '../../errors.ts';
import { ERROR_GUIDE } from './error-guide.ts';

interface Chapter {
  readonly title: string;
  readonly text: string;
  readonly codes: readonly ErrorCode[];
}

const all = Object.keys(ERROR_CODES) as ErrorCode[];
const between = (first: ErrorCode, last: ErrorCode): ErrorCode[] =>
  all.slice(all.indexOf(first), all.indexOf(last) + 1);

/** The table of the source, in its own order, cut at its own headings. A test checks that nothing falls between two. */
export const ERROR_CHAPTERS: readonly Chapter[] = [
  {
    title: 'What was sent',
    text: 'The request is at fault. Sent again unchanged, it fails again.',
    codes: between('bad_request', 'retry_refused'),
  },
  {
    title: 'What the input turned out to be',
    text: 'Found by the worker. A caller that waited gets the problem; otherwise the prediction is `failed` with this `error_code`.',
    codes: between('not_an_image', 'input_invalid'),
  },
  {
    title: 'What the service cannot do now',
    text: 'The same request may succeed later: wait as long as `Retry-After` says.',
    codes: between('rate_limited', 'storage_failed'),
  },
  {
    title: 'How a prediction ended',
    text: 'Seen as `error_code` of a prediction.',
    codes: between('deadline_exceeded', 'worker_lost'),
  },
  {
    title: 'On the link between gateway and worker',
    text: 'Seen in logs and in `postern doctor`. Callers do not meet them.',
    codes: between('protocol_error', 'connection_lost'),
  },
  {
    title: 'What an operator meets',
    text: 'Printed by the commands, and `internal` also in answers.',
    codes: between('config_invalid', 'internal'),
  },
];

const INTRO = [
  'Every error has a stable `code`. It is never renamed and never gets another meaning; titles and details may be reworded.',
  'Over HTTP an error is [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) `application/problem+json` with `type`, `title`, `status`, `detail`, `code`, `retryable`, `request_id`, and where they apply `retry_after` (seconds, as in `Retry-After`) and `prediction` (the id of the prediction that ended with it).',
];

export function renderErrorsMarkdown(): string {
  const chapters = ERROR_CHAPTERS.map(({ title, text, codes }) => {
    const entries = codes.map((code) => {
      const { status, title: summary, retryable } = ERROR_CODES[code];
      const { meaning, todo } = ERROR_GUIDE[code];
      const facts = `HTTP ${status} · ${retryable ? 'retryable' : 'not retryable'} · "${summary}"`;
      return `### \`${code}\`\n\n${facts}\n\n${meaning}\n\n**What to do:** ${todo}\n`;
    });
    return `## ${title}\n\n${text}\n\n${entries.join('\n')}`;
  });
  return `# Errors\n\n<!-- Written by \`npm run docs\` from src/gateway/http/error-guide.ts. -->\n\n${INTRO.join('\n\n')}\n\n${chapters.join('\n')}`;
}

/** The same as a page, with the code as the fragment that problems link to. */
export function renderErrorsPage(): string {
  const chapters = ERROR_CHAPTERS.map(({ title, text, codes }) => {
    const entries = codes.map((code) => {
      const { status, title: summary, retryable } = ERROR_CODES[code];
      const { meaning, todo } = ERROR_GUIDE[code];
      return (
        `<article id="${code}"><h3><a href="#${code}"><code>${code}</code></a></h3>` +
        `<p class="facts"><span>HTTP ${status}</span><span>${retryable ? 'retryable' : 'not retryable'}</span>${inline(summary)}</p>` +
        `<p>${inline(meaning)}</p><p><strong>What to do:</strong> ${inline(todo)}</p></article>`
      );
    });
    return `<section><h2>${inline(title)}</h2><p>${inline(text)}</p>${entries.join('')}</section>`;
  });
  const intro = INTRO.map((text) => `<p>${inline(text)}</p>`).join('');
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">' +
    '<meta name="color-scheme" content="light dark"><title>Errors · Postern</title><link rel="icon" href="/assets/icon.svg">' +
    '<link rel="stylesheet" href="/assets/docs.css"></head><body>' +
    '<header><a href="/">Postern</a><nav><a href="/docs">API reference</a><a href="/openapi.json">OpenAPI</a></nav></header>' +
    `<main><h1>Errors</h1>${intro}${chapters.join('')}</main></body></html>`
  );
}

/** The little Markdown that the texts use: code and links. */
function inline(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/\[([^\]]+)\]\((https:[^)]+)\)/g, '<a href="$2">$1</a>');
}
