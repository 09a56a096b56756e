/** What the HTTP service does for the routes of apps: bodies within the one budget, and who somebody is behind proxies. */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { AppDesk } from '../ports.ts';
import { addressGroup, type Proxies } from './address.ts';
import { admit, hasBody, refuseEncoding } from './body.ts';
import type { BodyBudget } from './budget.ts';
import { readMultipart } from './multipart.ts';
import { isForeignWrite } from './origin.ts';
import { leaving } from './predictions.ts';
import { readSmallJson } from './small-json.ts';
import { createThrottle } from './throttle.ts';

export interface AppDeskOptions {
  readonly budget: BodyBudget;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  readonly proxies: Proxies;
  readonly publicUrl: string | null;
  readonly corsOrigins: ReadonlySet<string>;
  readonly draining: () => boolean;
}

export function createAppDesk(options: AppDeskOptions): AppDesk {
  const { budget, clock, maxBodyBytes, proxies, publicUrl, corsOrigins } = options;
  return {
    maxBodyBytes,
    async withFiles({ request }, { field, maxFiles }, use) {
      if (!hasBody(request)) throw new PosternError('missing_input', `Expected a form with files in "${field}".`);
      const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
      if (type !== 'multipart/form-data') {
        throw new PosternError('unsupported_media_type', 'Expected a form with files, as multipart/form-data.');
      }
      refuseEncoding(request);
      const share = budget.open();
      try {
        const limits = { maxBytes: maxBodyBytes, share };
        admit(request, limits);
        const shape = { files: new Set([field]), maxFiles, texts: new Set<string>() };
        const { files, fields } = await readMultipart(request, limits, shape);
        const [name] = fields[0] ?? [];
        if (name !== undefined) {
          const got = name === field ? 'a text' : `the field "${name.slice(0, 60)}"`;
          throw new PosternError('bad_multipart', `Expected files in "${field}" and nothing else, got ${got}.`);
        }
        if (files.length === 0) throw new PosternError('missing_input', `The form has no file in "${field}".`);
        return await use(files);
      } finally {
        share.release();
      }
    },
    async withMemory(use) {
      const share = budget.open();
      try {
        return await use((bytes) => share.take(bytes));
      } finally {
        share.release();
      }
    },
    readJson: (request) => readSmallJson(request, budget),
    addressGroup: (request) => addressGroup(proxies.clientOf(request)),
    isHttps: (request) => publicUrl?.startsWith('https:') === true || proxies.isHttps(request),
    isForeignWrite: (request) => isForeignWrite(request, corsOrigins),
    draining: options.draining,
    leaving: ({ response }) => leaving(response),
    throttle: (limits) => createThrottle({ clock, ...limits }),
  };
}
