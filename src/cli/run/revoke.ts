/** Takes a worker's access back. */
import { PosternError } from '../../errors.ts';
import { withIdentity } from '../gateway-identity.ts';

export async function revoke(name: string, flags: { readonly json?: boolean }): Promise<void> {
  await withIdentity(({ config, identity: { workers }, act }) => {
    if (!workers.revoke(name, act)) {
      throw new PosternError(
        'config_invalid',
        `there is no worker ${name} in ${config.dataDir}: postern workers lists all`,
      );
    }
    process.stdout.write(
      flags.json === true
        ? `${JSON.stringify({ worker: name, revoked_at: new Date(act.at).toISOString() })}\n`
        : `Worker ${name} is revoked: running gateways close its sessions within a second.\n`,
    );
  });
}
