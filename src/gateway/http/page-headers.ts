/** What every page and every part of one is sent with: only what comes from here runs, and nobody else may frame it. */

/** No script in the markup. `blob:` is a photo before it is sent. `sendTo`: origins beside this one. */
const policy = (sendTo: readonly string[]): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "font-src 'self'",
    ["connect-src 'self'", ...sendTo].join(' '),
    "manifest-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');

export const pageHeaders = (sendTo: readonly string[] = []): readonly string[] => [
  ...['content-security-policy', policy(sendTo)],
  ...['x-content-type-options', 'nosniff'],
  ...['referrer-policy', 'no-referrer'],
  ...['cross-origin-opener-policy', 'same-origin'],
  ...['cross-origin-resource-policy', 'same-origin'],
  ...['permissions-policy', 'geolocation=(), microphone=(), camera=(self)'],
];
