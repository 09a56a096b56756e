/** What the ONNX runner and its thread say to each other. One run at a time, so answers need no numbers. */
import type { RunnerInfo, Tensor } from '../worker/runner.ts';

export type ToThread =
  | { readonly type: 'load'; readonly file: string; readonly providers: readonly string[]; readonly threads: number }
  | { readonly type: 'run'; readonly inputs: Readonly<Record<string, Tensor>> }
  | { readonly type: 'unload' };

export type FromThread =
  | { readonly type: 'loaded'; readonly info: RunnerInfo }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'done'; readonly outputs: Readonly<Record<string, Tensor>> }
  | { readonly type: 'failed'; readonly message: string };
