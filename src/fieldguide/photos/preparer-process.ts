/**
 * The process in which photos of strangers are decoded. It holds nothing: no key, no database, no environment. When a photo kills
 * it, the gateway hears of it and starts another one.
 */
import { writeFileSync } from 'node:fs';
import { systemClock } from '../../clock.ts';
import { toPosternError } from '../../errors.ts';
import { loadSharp } from '../../images/images.ts';
import { preparePhoto } from './prepare.ts';
import type { PrepareReply, PrepareRequest } from './preparer-messages.ts';

/** When memory runs out, the system is to take this process and not the gateway. */
try {
  writeFileSync('/proc/self/oom_score_adj', '900');
} catch {
  // Not on this system.
}
process.once('disconnect', () => process.exit());

const sharp = await loadSharp();

process.on('message', (request: PrepareRequest) => {
  void preparePhoto(sharp, request.bytes, systemClock)
    .then((prepared): PrepareReply => ({ id: request.id, type: 'prepared', prepared }))
    .catch((thrown: unknown): PrepareReply => {
      const { code, message } = toPosternError(thrown, 'not_an_image');
      return { id: request.id, type: 'refused', code, message };
    })
    .then((reply) => process.send?.(reply));
});
