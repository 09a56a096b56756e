/** The two ways in which photos come: a form to the gateway, or names of what was sent to S3 with forms that `/uploads` gave out. */
import { z } from 'zod';
import type { AppDesk, AppHost } from '../../gateway/ports.ts';
import type { Answer, Call } from '../../gateway/http/route.ts';
import { MAX_PHOTOS } from '../identify/limits.ts';
import type { Incoming } from '../photos/incoming.ts';
import { fresh } from './answers.ts';
import { bodyOf, refuseOthers } from './parameters.ts';

export const PHOTO_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/tiff', 'image/avif'] as const;

const announced = z.strictObject({
  photos: z
    .array(z.strictObject({ type: z.enum(PHOTO_TYPES), bytes: z.int().min(1) }))
    .min(1)
    .max(MAX_PHOTOS),
});
const named = z.strictObject({
  uploads: z
    .array(z.string().regex(/^[0-9a-f]{32}$/))
    .min(1)
    .max(MAX_PHOTOS),
});

export interface UploadsOptions {
  readonly desk: AppDesk;
  readonly incoming: Incoming;
  readonly clock: AppHost['clock'];
}

export function createUploads({ desk, incoming, clock }: UploadsOptions) {
  return {
    /** Size and type become conditions of the signature. */
    async offer(call: Call): Promise<Answer> {
      refuseOthers(call.query);
      const { photos } = bodyOf(announced, await desk.readJson(call.request));
      const items = [];
      for (const { type, bytes } of photos) {
        const { upload, url, fields, expiresS } = await incoming.offer(type, Math.min(bytes, desk.maxBodyBytes));
        items.push({ upload, url, fields, expires_at: new Date(clock.now() + expiresS * 1_000).toISOString() });
      }
      return fresh(201, { items });
    },
    /** Gives `use` the photos, whichever way they came. */
    async take<T>(call: Call, use: (files: readonly Uint8Array[]) => Promise<T>): Promise<T> {
      const type = call.request.headers['content-type'] ?? '';
      if (!type.toLowerCase().startsWith('application/json')) {
        return desk.withFiles(call, { field: 'photo', maxFiles: MAX_PHOTOS }, (files) =>
          use(files.map(({ bytes }) => bytes)),
        );
      }
      const { uploads } = bodyOf(named, await desk.readJson(call.request));
      return desk.withMemory(async (count) => {
        const made = await use(await incoming.fetch(uploads, count));
        await incoming.forget(uploads);
        return made;
      });
    },
  };
}
