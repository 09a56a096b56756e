/** Certificates and requests by the `openssl` program: made by somebody else's code, as an attacker's or a team's own are. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

/** An authority in `folder`: `ca.pem` and `ca.key`. */
export function makeOpensslAuthority(folder: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key'];
  openssl(folder, 'req', '-x509', ...key, '-out', 'ca.pem', '-days', '30', '-subj', '/CN=our CA');
}

/** `<name>.pem` and `<name>.key` (RSA) from that authority, with these lines of extensions. */
export function makeOpensslLeaf(folder: string, file: string, commonName: string, extensions: readonly string[]): void {
  const [key, csr, ext] = [`${file}.key`, `${file}.csr`, `${file}.ext`];
  openssl(folder, 'req', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-subj', `/CN=${commonName}`, '-out', csr);
  writeFileSync(join(folder, ext), `${extensions.join('\n')}\n`);
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '7', '-extfile', ext];
  openssl(folder, 'x509', '-req', '-in', csr, ...signed, '-out', `${file}.pem`);
}
