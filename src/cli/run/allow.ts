/** Changes which models a worker may run. */
import { PosternError } from '../../errors.ts';
import { withIdentity } from '../gateway-identity.ts';
import { allowanceOf, modelsText, type ModelFlags } from '../worker-options.ts';

export interface AllowFlags extends ModelFlags {
  readonly json?: boolean;
}

export async function allow(name: string, flags: AllowFlags): Promise<void> {
  const models = allowanceOf(flags);
  await withIdentity(({ config, identity: { workers }, act }) => {
    if (config.pkiDir === null && !workers.book.value.workers.has(name)) {
      throw new PosternError('config_invalid', `there is no worker ${name}: postern invite ${name} --models …`);
    }
    workers.allow(name, models, act);
    process.stdout.write(
      flags.json === true
        ? `${JSON.stringify({ worker: name, models: models === null ? null : [...models] })}\n`
        : `Worker ${name} may run ${modelsText(models)}.\n`,
    );
  });
}
