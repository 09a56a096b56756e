/** Joins this machine to a gateway: key here, certificate from there. */
import { access } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { decodeToken } from '../../identity/invitation.ts';
import { installCertificate, nextKey, readWorkerIdentity, writeGateway } from '../../identity/worker.ts';
import { askGateway, fetchAuthority, strangerContext } from '../../worker/enrol.ts';
import { formatAddress, parseAddress } from '../config.ts';
import { loadConfig } from '../env.ts';
import { duration } from '../terminal.ts';

export interface JoinFlags {
  readonly address?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const DEFAULT_PORT = 37_373;
const TIMEOUT_MS = 10_000;

export async function join(given: string, flags: JoinFlags): Promise<void> {
  const token = decodeToken((given === '-' ? await text(process.stdin) : given).trim());
  const folder = loadConfig().identityDir;
  if (flags.force !== true && (await exists(path.join(folder, 'worker.pem')))) {
    const { name } = await readWorkerIdentity(folder);
    throw new PosternError('config_invalid', `${folder} holds the identity of worker ${name}: replace it with --force`);
  }
  const written = flags.address ?? token.address;
  const address = parseAddress(written, DEFAULT_PORT);
  if (address === null) {
    throw new PosternError('config_invalid', `--address: expected a host, or host:port, got "${written.slice(0, 60)}"`);
  }
  const target = { ...address, clock: systemClock, timeoutMs: TIMEOUT_MS };
  const authority = await fetchAuthority(target, token.authorityDigest);
  const { makeRequest } = await import('../../identity/certificate.ts');
  const request = await makeRequest(await nextKey(folder), token.worker);
  const question = { type: 'join', token: token.secret, request } as const;
  const joined = await askGateway({ ...target, context: strangerContext(authority) }, question, 'joined');
  await writeGateway(folder, formatAddress(address.host, address.port));
  await installCertificate(folder, joined, token.worker);
  const { name, certificateEndsAt } = await readWorkerIdentity(folder);
  const ends_at = new Date(certificateEndsAt).toISOString();
  if (flags.json === true) {
    process.stdout.write(
      `${JSON.stringify({ worker: name, folder, address: written, certificate_ends_at: ends_at })}\n`,
    );
    return;
  }
  const left = duration((certificateEndsAt - systemClock.now()) / 1000);
  process.stdout.write(`This machine is worker ${name}. Its certificate counts for ${left} and renews itself.\n`);
  process.stdout.write(`Identity: ${folder}\nStart it with: postern worker\n`);
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
