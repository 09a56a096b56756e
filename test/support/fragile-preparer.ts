/** The photo process, but photos that end with a word of a test kill it or keep it busy for ever, as a fault of the decoder would. */
import type { PrepareRequest } from '../../src/fieldguide/photos/preparer-messages.ts';

process.on('message', ({ bytes }: PrepareRequest) => {
  const end = Buffer.from(bytes.subarray(-8)).toString('latin1');
  if (end === 'KILL-ME!') process.kill(process.pid, 'SIGSEGV');
  if (end === 'HANG-ME!') for (;;);
});
await import('../../src/fieldguide/photos/preparer-process.ts');
