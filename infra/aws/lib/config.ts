/**
 * What a team decides about its stack: read once from `postern.config.json`, checked whole, frozen. Every problem is
 * reported at once, by key; an unknown key is refused, because a misspelt limit would be worse than none.
 */
export const VARIANTS = ['group', 'one-vm', 'beanstalk'] as const;
export type Variant = (typeof VARIANTS)[number];

export interface Config {
  /** `group`: gateways behind load balancers; `one-vm`: one machine with SQLite; `beanstalk`: gateways that Beanstalk keeps. */
  readonly variant: Variant;
  /** Begins the names of stacks. */
  readonly name: string;
  readonly account: string;
  readonly region: string;
  /** Letters of two availability zones. Named, so that a template can be made without asking AWS. */
  readonly zones: readonly string[];
  /** Where people meet the pages (CloudFront). */
  readonly domain: string | null;
  /** Where callers meet the API (load balancer). */
  readonly apiDomain: string | null;
  /** Of the API, in this region. */
  readonly certificateArn: string | null;
  /** Of the pages, in us-east-1, where CloudFront looks for it. */
  readonly pagesCertificateArn: string | null;
  /** Networks that workers dial from, as CIDR. Nobody else reaches port 37373. */
  readonly workerNetworks: readonly string[];
  readonly github: { readonly repository: string; readonly environment: string } | null;
  readonly alarmEmail: string | null;
  readonly instanceType: string;
  readonly minGateways: number;
  readonly maxGateways: number;
  readonly databaseInstanceType: string;
  readonly databaseStorageGb: number;
  /** A standby in another zone that takes over within a minute or two; doubles the price of the database. */
  readonly databaseMultiAz: boolean;
  readonly photoDays: number;
  /** `aws elasticbeanstalk list-available-solution-stacks`; needed for `beanstalk`. */
  readonly solutionStack: string | null;
}

export class ConfigProblem extends Error {}

const NAME = /^[a-z][a-z0-9-]{1,24}$/;
const HOST = /^(?=.{4,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$/;
const CIDR = /^(\d{1,3}\.){3}\d{1,3}\/(\d|[12]\d|3[0-2])$/;
const CERTIFICATE = /^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[0-9a-f-]{36}$/;
const TYPE = /^[a-z0-9]+\.[a-z0-9]+$/;

/** Throws a {@link ConfigProblem} that names every key that is wrong. */
export function parseConfig(input: unknown): Config {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ConfigProblem('the configuration must be a JSON object');
  }
  const given = new Map(Object.entries(input as Record<string, unknown>));
  const problems: string[] = [];

  function take<T>(key: string, fallback: T | undefined, read: (value: unknown) => T | undefined, expected: string): T {
    const value = given.get(key);
    given.delete(key);
    if (value === undefined && fallback !== undefined) return fallback;
    const result = value === undefined ? undefined : read(value);
    if (result === undefined) problems.push(`${key}: expected ${expected}, got ${JSON.stringify(value) ?? 'nothing'}`);
    return result as T;
  }
  const text = (pattern: RegExp) => (value: unknown) =>
    typeof value === 'string' && pattern.test(value) ? value : undefined;
  const number = (from: number, to: number) => (value: unknown) =>
    typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to ? value : undefined;

  const config: Config = {
    variant: take('variant', 'group', (v) => VARIANTS.find((one) => one === v), VARIANTS.join(', ')),
    name: take('name', 'postern', text(NAME), 'a short name of a–z, 0–9 and -'),
    account: take('account', undefined, text(/^\d{12}$/), 'the 12 digits of an account'),
    region: take('region', undefined, text(/^[a-z]{2}(-[a-z]+)+-\d$/), 'a region such as ap-northeast-2'),
    zones: take(
      'zones',
      Object.freeze(['a', 'b']),
      (v) =>
        Array.isArray(v) && v.length === 2 && v.every((one) => /^[a-f]$/.test(String(one)))
          ? (v as string[])
          : undefined,
      'two letters such as ["a", "c"]',
    ),
    domain: take<string | null>('domain', null, text(HOST), 'a host name'),
    apiDomain: take<string | null>('apiDomain', null, text(HOST), 'a host name'),
    certificateArn: take<string | null>('certificateArn', null, text(CERTIFICATE), 'the ARN of an ACM certificate'),
    pagesCertificateArn: take<string | null>(
      'pagesCertificateArn',
      null,
      (v) => (typeof v === 'string' && CERTIFICATE.test(v) && v.includes(':us-east-1:') ? v : undefined),
      'the ARN of an ACM certificate in us-east-1, where CloudFront looks for it',
    ),
    workerNetworks: take(
      'workerNetworks',
      undefined,
      (v) => (Array.isArray(v) && v.length > 0 && v.every(isNetwork) ? Object.freeze(v as string[]) : undefined),
      'a list of at least one network such as "192.0.2.10/32"; 0.0.0.0/0 only if workers move about',
    ),
    github: take<Config['github']>(
      'github',
      null,
      readGithub,
      '{ "repository": "owner/name", "environment": "production" }',
    ),
    alarmEmail: take<string | null>('alarmEmail', null, text(/^[^@\s]+@[^@\s]+\.[^@\s]+$/), 'an address'),
    instanceType: take('instanceType', 't3.small', text(TYPE), 'an instance type such as t3.small'),
    minGateways: take('minGateways', 2, number(1, 100), '1 … 100'),
    maxGateways: take('maxGateways', 8, number(1, 100), '1 … 100'),
    databaseInstanceType: take('databaseInstanceType', 't4g.small', text(TYPE), 'an instance type such as t4g.small'),
    databaseStorageGb: take('databaseStorageGb', 20, number(20, 65_536), '20 … 65536'),
    databaseMultiAz: take('databaseMultiAz', false, (v) => (typeof v === 'boolean' ? v : undefined), 'true or false'),
    photoDays: take('photoDays', 30, number(1, 3_650), '1 … 3650'),
    solutionStack: take<string | null>(
      'solutionStack',
      null,
      text(/^64bit Amazon Linux 2023 .{3,100}$/),
      'the name of a solution stack',
    ),
  };
  for (const key of given.keys()) if (!key.startsWith('//')) problems.push(`${key}: there is no such key`);
  if (problems.length === 0) problems.push(...conflicts(config));
  if (problems.length > 0) throw new ConfigProblem(`postern.config.json:\n  ${problems.join('\n  ')}`);
  return Object.freeze(config);
}

function conflicts(config: Config): string[] {
  const problems: string[] = [];
  const needs = (key: keyof Config): void => {
    if (config[key] === null) problems.push(`${key}: needed for the variant ${config.variant}`);
  };
  if (config.maxGateways < config.minGateways) problems.push('maxGateways: expected at least minGateways');
  if (config.variant !== 'one-vm') for (const key of ['apiDomain', 'certificateArn'] as const) needs(key);
  if (config.variant === 'group') for (const key of ['domain', 'pagesCertificateArn'] as const) needs(key);
  if (config.variant === 'beanstalk') needs('solutionStack');
  return problems;
}

const isNetwork = (value: unknown): boolean =>
  typeof value === 'string' &&
  CIDR.test(value) &&
  value
    .split(/[./]/)
    .slice(0, 4)
    .every((part) => Number(part) < 256);

function readGithub(value: unknown): Config['github'] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { repository, environment, ...others } = value as Record<string, unknown>;
  if (Object.keys(others).length > 0) return undefined;
  if (typeof repository !== 'string' || !/^[\w.-]+\/[\w.-]+$/.test(repository)) return undefined;
  if (typeof environment !== 'string' || !/^[\w.-]{1,100}$/.test(environment)) return undefined;
  return Object.freeze({ repository, environment });
}
