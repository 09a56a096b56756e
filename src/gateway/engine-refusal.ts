/** Which requests the engine does not accept, before anything is asked of the store. */
import { PosternError } from '../errors.ts';
import type { Catalogue } from './engine-catalogue.ts';
import type { PredictionRequest } from './ports.ts';

/** null: it may be accepted. */
export function refusalOf(
  { model, version, deadlineAt }: PredictionRequest,
  catalogue: Catalogue,
  nowMs: number,
): PosternError | null {
  const versions = catalogue.versionsOf(model);
  if (!versions) {
    return new PosternError('model_not_found', `no worker ever announced ${model}: GET /v1/models lists all`);
  }
  if (version !== null && !versions.has(version)) {
    const have = [...versions].join(', ');
    return new PosternError('model_not_found', `${model} has no version ${version}, only ${have}`);
  }
  // It would wait for somebody to deploy it. While no worker is there at all, its own may only be away.
  const loaded = version === null ? null : catalogue.loadedVersions(model);
  if (version !== null && loaded !== null && loaded.size > 0 && !loaded.has(version)) {
    const have = [...loaded].join(', ');
    const todo = 'deploy it, or name no version';
    return new PosternError('model_not_found', `${model} ${version} is not loaded now, only ${have}: ${todo}`);
  }
  if (deadlineAt !== null && deadlineAt <= nowMs) {
    return new PosternError('deadline_in_past', 'the deadline must lie in the future');
  }
  return null;
}
