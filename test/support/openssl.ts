/** Certificates and requests by the `openssl` program: made by somebody else's code, as an attacker's or a team's own are. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const openssl = (folder: string, ...args: string[]): string =>
  execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'], timeout: 30_000 }).toString();

/** A request (PEM) for a new P-256 key with this common name and extension. */
export function opensslRequest(name: string, extension: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-openssl-'));
  try {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem'];
    return openssl(folder, 'req', '-new', ...key, '-subj', `/CN=${name}`, '-addext', extension);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Kinds of keys that teams have. */
export type OpensslKey = 'ec' | 'rsa';

const KEY_OPTIONS: Readonly<Record<OpensslKey, readonly string[]>> = {
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-newkey', 'rsa:2048'],
};

/** An authority in `folder`: `ca.pem` and `ca.key`, and what it needs to take certificates back. */
export function makeOpensslAuthority(folder: string, kind: OpensslKey): void {
  const files = ['-nodes', '-keyout', 'ca.key', '-out', 'ca.pem'];
  openssl(folder, 'req', '-x509', ...KEY_OPTIONS[kind], ...files, '-days', '30', '-subj', '/CN=our CA');
  const lines = ['[ca]', 'default_ca=our', '[our]', 'database=index.txt', 'crlnumber=crlnumber'];
  const signing = ['certificate=ca.pem', 'private_key=ca.key', 'default_md=sha256', 'default_crl_days=7'];
  writeFileSync(join(folder, 'ca.cnf'), `${[...lines, ...signing].join('\n')}\n`);
  writeFileSync(join(folder, 'index.txt'), '');
  writeFileSync(join(folder, 'crlnumber'), '01\n');
}

/** `<file>.pem` and `<file>.key` (0600) from that authority, with these lines of extensions. */
export function makeOpensslLeaf(
  folder: string,
  file: string,
  kind: OpensslKey,
  commonName: string,
  extensions: readonly string[],
): void {
  const [key, csr, ext] = [`${file}.key`, `${file}.csr`, `${file}.ext`];
  openssl(folder, 'req', ...KEY_OPTIONS[kind], '-nodes', '-keyout', key, '-subj', `/CN=${commonName}`, '-out', csr);
  chmodSync(join(folder, key), 0o600);
  writeFileSync(join(folder, ext), `${extensions.join('\n')}\n`);
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '7', '-extfile', ext];
  openssl(folder, 'x509', '-req', '-in', csr, ...signed, '-out', `${file}.pem`);
}

/** Takes `<file>.pem` back: from here on `crl.pem` names it. */
export function revokeOpensslLeaf(folder: string, file: string): void {
  openssl(folder, 'ca', '-config', 'ca.cnf', '-revoke', `${file}.pem`);
  openssl(folder, 'ca', '-config', 'ca.cnf', '-gencrl', '-out', 'crl.pem');
}
