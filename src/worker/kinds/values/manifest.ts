/** `postern.yaml` of the kinds whose inputs are no tensors: `json`, `text`, `bytes` and `image`, all run by Python. */
import { z } from 'zod';
import { batch, common, fileName, python, threads, warmUpRuns } from '../../manifest-keys.ts';

const parts = { ...common, runner: z.literal('python'), file: fileName.default('model.py'), python, batch, threads };

const json = z.strictObject({
  ...parts,
  kind: z.literal('json'),
  // What a model takes nobody can guess, and a model is ready when it has answered a real input.
  warm_up: z.strictObject({ runs: warmUpRuns, input: z.json() }),
});
const text = z.strictObject({
  ...parts,
  kind: z.literal('text'),
  warm_up: z.strictObject({ runs: warmUpRuns, input: z.string().min(1) }),
});
const bytes = z.strictObject({
  ...parts,
  kind: z.literal('bytes'),
  warm_up: z.strictObject({ runs: warmUpRuns, file: fileName }),
});
const image = z.strictObject({
  ...parts,
  kind: z.literal('image'),
  warm_up: z.strictObject({ runs: warmUpRuns, file: fileName.optional() }).prefault({}),
});

export const VALUE_KINDS = { json, text, bytes, image };

export type ValueManifest = Readonly<
  z.infer<typeof json> | z.infer<typeof text> | z.infer<typeof bytes> | z.infer<typeof image>
>;
