/** The shapes of identifications in the OpenAPI document. */
import type { OpenApiPart } from '../../gateway/ports.ts';
import {
  text,
  time,
  timeOrNull,
  textOrNull,
  flag,
  count,
  probability,
  both,
  ref,
  orNull,
  list,
  whole,
} from './openapi-shapes.ts';

export const IDENTIFY_SCHEMAS: OpenApiPart['schemas'] = {
  GuideWorker: whole({
    state: { type: 'string', enum: ['ready', 'busy', 'away', 'never'] },
    last_seen_at: timeOrNull,
  }),
  GuideStatus: whole({
    guide: text,
    model: text,
    worker: ref('GuideWorker'),
    waiting: count,
    upload: whole({
      mode: { type: 'string', enum: ['form', 'presigned'] },
      max_photos: count,
      max_bytes: count,
      max_pixels: count,
      types: list(text),
    }),
    photo_days: { type: 'number' },
    record_days: { type: 'number' },
  }),
  GuidePhoto: whole({
    n: count,
    width: count,
    height: count,
    state: { type: 'string', enum: ['waiting', 'processing', 'used', 'left_out', 'failed'] },
    note: textOrNull,
    url: textOrNull,
    thumb: textOrNull,
  }),
  GuideDanger: whole({
    verdict: { type: 'string', enum: ['dangerous', 'unknown', 'none'] },
    probability,
    level: textOrNull,
    causes: list(
      whole({ group: textOrNull, entry: text, names: both, level: textOrNull, probability, parts: orNull(both) }),
    ),
  }),
  GuideOutcome: {
    oneOf: [
      whole({
        type: { type: 'string', enum: ['candidates', 'unsure', 'not_a_plant'] },
        candidates: list(whole({ entry: ref('GuideEntrySummary'), score: probability })),
        danger: orNull(ref('GuideDanger')),
        label: { type: ['object', 'null'] },
        photos_used: count,
        photos_left_out: count,
        model: whole({ name: text, version: textOrNull }),
      }),
      whole({ type: { type: 'string', const: 'failed' }, code: text, title: text, detail: text, retryable: flag }),
    ],
  },
  GuideShareLink: whole({ token: text, url: text, photos: flag }),
  GuideIdentification: whole({
    id: text,
    guide: text,
    status: { type: 'string', enum: ['waiting', 'processing', 'decided'] },
    created_at: time,
    decided_at: timeOrNull,
    expires_at: time,
    photos_expire_at: time,
    photos: list(ref('GuidePhoto')),
    progress: orNull(
      whole({ done: count, of: count, queue_position: { type: ['integer', 'null'] }, fraction: probability }),
    ),
    worker: orNull(ref('GuideWorker')),
    outcome: orNull(ref('GuideOutcome')),
    feedback: orNull(whole({ verdict: { type: 'string', enum: ['right', 'wrong'] }, entry: textOrNull, at: time })),
    share: orNull(ref('GuideShareLink')),
    poll_after_ms: { type: ['integer', 'null'] },
  }),
};
