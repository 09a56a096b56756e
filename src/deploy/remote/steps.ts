/** The steps of a deploy, told as they happen: to a person line by line, to a program as JSON. */
import { toPosternError } from '../../errors.ts';

export const STEPS = {
  connect: 'Connect',
  build: 'Build the release',
  provision: 'Prepare the machine',
  prepare: 'Make the folders',
  upload: 'Upload',
  check: 'Check and unpack',
  unit: 'Write the unit',
  lock: 'Take the lock',
  backup: 'Back up',
  switch: 'Switch',
  verify: 'Verify',
  prune: 'Remove what is old',
} as const;
export type StepName = keyof typeof STEPS;

export type DeployEvent =
  | { readonly type: 'begin'; readonly step: StepName }
  /** What a step says on its way. */
  | { readonly type: 'note'; readonly step: StepName; readonly text: string }
  | { readonly type: 'bytes'; readonly step: StepName; readonly done: number; readonly total: number }
  | { readonly type: 'done'; readonly step: StepName; readonly text: string; readonly took_ms: number }
  | { readonly type: 'failed'; readonly step: StepName; readonly code: string; readonly text: string };

export interface Step {
  note(text: string): void;
  bytes(done: number, total: number): void;
}

export interface Steps {
  /** Runs one step; what it returns as `text` is said when it is done. */
  run<T extends { readonly text: string }>(name: StepName, body: (step: Step) => Promise<T>): Promise<T>;
  /** The step in which something failed. */
  failedIn(): StepName | null;
}

export function createSteps(onEvent: (event: DeployEvent) => void, monotonic: () => number): Steps {
  let failed: StepName | null = null;
  return {
    async run(name, body) {
      const beganAt = monotonic();
      onEvent({ type: 'begin', step: name });
      try {
        const result = await body({
          note: (text) => onEvent({ type: 'note', step: name, text }),
          bytes: (done, total) => onEvent({ type: 'bytes', step: name, done, total }),
        });
        onEvent({ type: 'done', step: name, text: result.text, took_ms: Math.round(monotonic() - beganAt) });
        return result;
      } catch (error) {
        failed = name;
        const { code, message } = toPosternError(error);
        onEvent({ type: 'failed', step: name, code, text: message });
        throw error;
      }
    },
    failedIn: () => failed,
  };
}
