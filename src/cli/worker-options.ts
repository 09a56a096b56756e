/** Options of the commands about workers: names, and which models one may run. */
import { InvalidArgumentError, Option } from 'commander';
import { PosternError } from '../errors.ts';
import type { Allowance } from '../identity/workers.ts';
import { modelName, workerName } from '../protocol/messages.ts';

export interface ModelFlags {
  readonly models?: string[];
  readonly allModels?: boolean;
}

export const parseWorkerName = (text: string): string => {
  if (workerName.safeParse(text).success) return text;
  throw new InvalidArgumentError('Expected lower-case letters, digits and hyphens, at most 63.');
};

export const modelsOption = (): Option =>
  new Option('--models <names>', 'models that it may run, comma between').argParser((text: string) => {
    const names = text.split(',').map((name) => name.trim());
    for (const name of names) {
      if (!modelName.safeParse(name).success) {
        throw new InvalidArgumentError(`"${name.slice(0, 60)}" is no name of a model.`);
      }
    }
    return names;
  });

export const allModelsOption = (): Option => new Option('--all-models', 'it may run every model').conflicts('models');

export function allowanceOf({ models, allModels }: ModelFlags): Allowance {
  if (allModels === true) return null;
  if (models !== undefined) return new Set(models);
  throw new PosternError('config_invalid', 'which models? --models plants,clothes, or --all-models');
}

export const modelsText = (models: Allowance): string =>
  models === null ? 'all models' : [...models].join(', ') || 'no model';
