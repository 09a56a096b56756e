/** Makes an invitation in the control records of this machine's gateway. */
import { hostname, networkInterfaces } from 'node:os';
import { PosternError } from '../../errors.ts';
import { authorityDigestOf } from '../../identity/fingerprint.ts';
import { encodeToken, makeSecret } from '../../identity/invitation.ts';
import { formatAddress, parseAddress, type Config } from '../config.ts';
import { withIdentity } from '../gateway-identity.ts';
import { duration } from '../terminal.ts';
import { allowanceOf, modelsText, type ModelFlags } from '../worker-options.ts';

export interface InviteFlags extends ModelFlags {
  readonly ttl: number;
  readonly address?: string;
  readonly replace?: boolean;
  readonly json?: boolean;
}

export async function invite(name: string, flags: InviteFlags): Promise<void> {
  const models = allowanceOf(flags);
  await withIdentity(({ config, identity: { pki, workers }, act }) => {
    // The gateway shows the present authority's certificate, also while the next one signs already.
    const [authority] = pki.authorities;
    if (authority === undefined) {
      throw new PosternError(
        'config_invalid',
        `POSTERN_PKI_DIR is set, so workers have certificates of that authority: postern allow ${name} --models …`,
      );
    }
    const known = workers.book.value.workers.get(name);
    if (known?.revokedAt === null && flags.replace !== true) {
      throw new PosternError(
        'config_invalid',
        `there is a worker ${name}: choose another name, or let another machine take its place with --replace (postern allow changes its models)`,
      );
    }
    const address = addressOf(flags.address ?? config.tunnelAddress, config);
    const { secret, id, digest } = makeSecret();
    const expiresAt = act.at + flags.ttl * 1_000;
    workers.invite({ id, digest, worker: name, models, expiresAt }, act);
    const token = encodeToken({
      address,
      authorityDigest: authorityDigestOf(authority.certificate),
      worker: name,
      secret,
    });
    if (flags.json === true) {
      const facts = { worker: name, models: models === null ? null : [...models], address };
      const expires_at = new Date(expiresAt).toISOString();
      process.stdout.write(`${JSON.stringify({ ...facts, expires_at, token, command: `postern join ${token}` })}\n`);
      return;
    }
    // The command alone on standard output, so that it can be piped.
    process.stdout.write(`postern join ${token}\n`);
    process.stderr.write(
      `\nRun this on the machine of ${name} within ${duration(flags.ttl)}; then: postern worker\n` +
        `It will dial ${address} and may run ${modelsText(models)}. The token counts once and is kept nowhere.\n`,
    );
  });
}

function addressOf(text: string | null, config: Config): string {
  if (text !== null) {
    const address = parseAddress(text, config.tunnelPort);
    if (address === null || address.port === 0) {
      throw new PosternError('config_invalid', `--address: expected a host, or host:port, got "${text.slice(0, 60)}"`);
    }
    return formatAddress(address.host, address.port);
  }
  if (config.tunnelPort === 0) {
    throw new PosternError('config_invalid', 'POSTERN_TUNNEL_PORT is 0: say --address host:port');
  }
  const { tunnelHost } = config;
  const isReachable = tunnelHost !== null && tunnelHost !== '0.0.0.0' && tunnelHost !== '::';
  return formatAddress(isReachable ? tunnelHost : ownAddress(), config.tunnelPort);
}

/** The machine's first address that others could reach; behind address translation it is not, and somebody must say it. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outside = addresses.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  const first = outside.find(({ family }) => family === 'IPv4') ?? outside[0];
  return first?.address ?? hostname();
}
