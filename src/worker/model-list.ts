/** What the worker tells of its models, in the words that the gateway on the other side knows. */
import { DEPLOY } from '../protocol/hello.ts';
import type { Message, ModelReport, StoredVersion, Welcome } from '../protocol/messages.ts';

export function createModelList() {
  let models: readonly ModelReport[] = [];
  let stored: readonly StoredVersion[] = [];
  let takesStored = false;

  return {
    set(list: readonly ModelReport[], unloaded: readonly StoredVersion[]): void {
      models = list;
      stored = unloaded;
    },
    /** A connection begins. */
    welcomed({ features = [] }: Welcome): void {
      takesStored = features.includes(DEPLOY);
    },
    message: (): Message => ({
      type: 'models',
      models: [...models],
      ...(takesStored && stored.length > 0 ? { stored: [...stored] } : {}),
    }),
  };
}
