/** Makes what is missing of the gateway's identity, and says what comes next. */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { fingerprintOf } from '../../identity/fingerprint.ts';
import { withIdentity } from '../gateway-identity.ts';

export async function init(flags: { readonly json?: boolean }): Promise<void> {
  await withIdentity(({ config, identity: { pki } }) => {
    const folder = config.pkiDir ?? join(config.dataDir, 'identity');
    const authorities = pki.tls.trustPems.map((pem) => {
      const certificate = new X509Certificate(pem);
      return { sha256: fingerprintOf(certificate), ends_at: certificate.validToDate.toISOString() };
    });
    const gateway = new X509Certificate(pki.tls.certPem);
    const isOwn = pki.signer !== null;
    const facts = { folder, own_authority: isOwn, authorities, gateway_ends_at: gateway.validToDate.toISOString() };
    if (flags.json === true) {
      process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
      return;
    }
    const lines = [
      `Identity of the gateway: ${folder}`,
      ...authorities.map(({ sha256, ends_at }) => `  authority ${sha256.slice(0, 16)}…, until ${ends_at.slice(0, 10)}`),
      `  gateway’s certificate until ${facts.gateway_ends_at.slice(0, 10)}`,
      '',
      'Next:',
      '  postern gateway                       run it',
      isOwn
        ? '  postern invite gpu-1 --models plants  a machine that may run the model plants'
        : '  postern allow gpu-1 --models plants   what the worker with that certificate may run',
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  });
}
