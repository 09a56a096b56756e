/** The runners by name. Each is imported only when a model asks for it, so that a worker loads no runtime it does not use. */
import type { BytesRunner, CreateRunner, ServiceRunner } from '../worker/runner.ts';
import type { HttpRunnerOptions } from './http/options.ts';
import type { PythonOptions } from './python/options.ts';

export type { HttpRunnerOptions } from './http/options.ts';
export type { PythonOptions } from './python/options.ts';

export type TensorRunnerName = 'onnx';

export async function loadRunner(name: TensorRunnerName): Promise<CreateRunner> {
  switch (name) {
    case 'onnx':
      return (await import('./onnx.ts')).createOnnxRunner;
    default:
      return name satisfies never;
  }
}

export async function loadPythonRunner(options: PythonOptions): Promise<CreateRunner> {
  return (await import('./python/python.ts')).createPythonRunner(options);
}

export async function loadBytesRunner(): Promise<BytesRunner> {
  return (await import('./echo.ts')).echoRunner;
}

export async function loadHttpRunner(options: HttpRunnerOptions): Promise<ServiceRunner> {
  return (await import('./http/http.ts')).createHttpRunner(options);
}
