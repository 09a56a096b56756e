/** Answers every input with itself: for the link check and for measuring everything but the model. */
import type { BytesRunner } from '../worker/runner.ts';

export const echoRunner: BytesRunner = {
  answer: (contentType, bytes) => ({ contentType, bytes }),
};
