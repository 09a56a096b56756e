/** Examines the link, finding by finding. For the day when two machines are set up. */
import { access } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { createClient } from '../../client/client.ts';
import { readGateway } from '../../identity/worker.ts';
import type { Config } from '../config.ts';
import { runChain, type Check, type Verdict } from '../doctor/check.ts';
import { httpSteps } from '../doctor/http.ts';
import { tunnelSteps } from '../doctor/tunnel.ts';
import { isSet, loadConfig } from '../env.ts';
import { EXIT_FAILED, EXIT_OK } from '../exit.ts';
import { addressOf, gatewayRuleOf, targetsOf } from '../target.ts';
import { paint, printable } from '../terminal.ts';
import { apiKeyOf, type CallerOptions } from '../options.ts';

/** Returns the exit code. */
export async function examine(flags: CallerOptions): Promise<number> {
  const config = loadConfig();
  const show = flags.json === true ? (): void => undefined : showCheck;
  const identityDir = await findIdentity(config);
  // A broken identity is a finding of its own; until it is read, the settings say where to look.
  const joinedAt = identityDir === null ? null : await readGateway(identityDir).catch(() => null);
  const targets = targetsOf(config, joinedAt);
  const checks: Check[] = [];
  if (identityDir === null) {
    const check: Check = {
      name: 'tunnel',
      verdict: 'skip',
      detail: `there is no worker identity in ${config.identityDir}`,
      advice:
        'run this on the worker’s machine; a worker gets its identity from `postern invite` on the gateway and `postern join` here',
    };
    show(check);
    checks.push(check);
  } else {
    for (const target of targets) {
      const tunnel = tunnelSteps({ ...target, identityDir, gateway: gatewayRuleOf(config) });
      // Of several gateways each line says which one it is about.
      const named = (check: Check): Check =>
        targets.length === 1 ? check : { ...check, name: `${check.name} ${addressOf(target)}` };
      try {
        checks.push(...(await runChain(tunnel.steps, (check) => show(named(check)))).map(named));
      } finally {
        tunnel.close();
      }
    }
  }
  if (
    identityDir === null ||
    flags.gateway !== undefined ||
    isSet('POSTERN_URL') ||
    targets.some(({ host }) => isThisMachine(host))
  ) {
    const url = flags.gateway ?? config.url;
    const client = createClient({
      gateway: url,
      apiKey: apiKeyOf(flags, config),
      retry: { maxAttempts: 1, firstMs: 0, maxMs: 0 },
    });
    checks.push(...(await runChain(httpSteps(client, url), show)));
  } else {
    const check: Check = {
      name: 'http',
      verdict: 'skip',
      detail: 'not asked for',
      advice: 'name the API with --gateway to check it and a job through it',
    };
    show(check);
    checks.push(check);
  }
  const failed = checks.some(({ verdict }) => verdict === 'fail');
  if (flags.json === true)
    process.stdout.write(`${JSON.stringify({ verdict: failed ? 'fail' : 'ok', checks }, null, 2)}\n`);
  return failed ? EXIT_FAILED : EXIT_OK;
}

/** The worker's own identity; beside `postern up` the one of its local worker. */
async function findIdentity(config: Config): Promise<string | null> {
  const folders = isSet('POSTERN_IDENTITY_DIR')
    ? [config.identityDir]
    : [config.identityDir, join(config.dataDir, 'local-worker')];
  for (const folder of folders) {
    const found = await access(join(folder, 'worker.pem')).then(
      () => true,
      () => false,
    );
    if (found) return folder;
  }
  return null;
}

const isThisMachine = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red', skip: 'dim' } as const satisfies Record<Verdict, string>;
const NAME_CELLS = 19;

/** Each finding is shown when it is found: the slow ones come last. */
function showCheck({ name, verdict, detail, advice }: Check): void {
  const out = process.stdout;
  out.write(`${paint(out, COLOURS[verdict], verdict.padEnd(5))} ${name.padEnd(NAME_CELLS)} ${printable(detail)}\n`);
  if (advice !== undefined) out.write(`${' '.repeat(NAME_CELLS + 7)}${paint(out, 'bold', `→ ${printable(advice)}`)}\n`);
}
