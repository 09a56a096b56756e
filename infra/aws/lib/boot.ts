/** What a machine runs at its first boot: `boot/gateway.sh`, with the values of the stack before it. */
import { readFileSync } from 'node:fs';
import * as ec2 from 'aws-cdk-lib/aws-ec2';

const METRICS = readFileSync(new URL('../boot/metrics.sh', import.meta.url));
const SCRIPT = readFileSync(new URL('../boot/gateway.sh', import.meta.url), 'utf8');

export interface BootValues {
  readonly REGION: string;
  /** Bucket of releases. */
  readonly RELEASES: string;
  /** SSM parameter that holds the id of the release to run. */
  readonly RELEASE_PARAMETER: string;
  readonly AUTHORITY_SECRET: string;
  readonly DATABASE_SECRET: string;
  readonly BLOB_URL: string;
  /** Further lines of `.env`. */
  readonly SETTINGS: string;
  readonly HTTP_PORT: string;
  readonly TUNNEL_PORT: string;
  readonly GROUP: string;
  readonly LAUNCH_HOOK: string;
  readonly TERMINATE_HOOK: string;
  /** Of CloudWatch; empty: nothing is told. */
  readonly NAMESPACE: string;
}

export function bootScript(values: BootValues): ec2.UserData {
  const [shebang = '', ...rest] = SCRIPT.split('\n');
  const data = ec2.UserData.custom(shebang);
  // In single quotes: a value is never read by the shell. Values with a quote in them cannot come up, and are refused.
  for (const [name, value] of Object.entries({ ...values, METRICS_SCRIPT: METRICS.toString('base64') }) as [
    string,
    string,
  ][]) {
    if (value.includes("'")) throw new Error(`${name} must not contain a single quote`);
    data.addCommands(`${name}='${value}'`);
  }
  data.addCommands(rest.join('\n'));
  return data;
}
