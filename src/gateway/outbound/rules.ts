/**
 * Where the gateway may send requests on a caller's behalf: https to public addresses, on ports where no other protocol
 * lives. What the operator lists (`POSTERN_OUTBOUND_ALLOW`) is allowed besides: private addresses, http, and any port.
 */
import { isIn, isPublic, parseAddress, parseNetwork, type Address, type Network } from './address.ts';

/** One entry of the operator's list. `port` null: every port. */
export type AllowRule =
  | { readonly type: 'network'; readonly network: Network; readonly port: number | null }
  | {
      readonly type: 'host';
      readonly name: string;
      /** `*.example.org`: every name below, and not the name itself. */
      readonly isBelow: boolean;
      readonly port: number | null;
    };

export interface OutboundRules {
  readonly allow: readonly AllowRule[];
  /** Plain http to public addresses: whoever is on the way can read and change it. */
  readonly plainHttp: boolean;
}

/** What a URL points at, as far as it can be seen without asking anybody. */
export interface Target {
  readonly url: URL;
  /** Lower case, without brackets and without the dot at the end. */
  readonly host: string;
  readonly port: number;
  /** The address, when the host is one. */
  readonly address: Address | null;
}

const MAX_URL_CHARS = 2_048;
const NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
/** From 1024 on, the ports that browsers refuse too (the "bad ports" of the Fetch standard). Below it 80 and 443 are allowed. */
const OTHER_PROTOCOLS: ReadonlySet<number> = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

/** `10.0.0.0/8`, `127.0.0.1:9000`, `[::1]:9000`, `hooks.internal`, `*.internal:8443`; null when it is none of these. */
export function parseAllowRule(text: string): AllowRule | null {
  const entry = text.trim().toLowerCase();
  const bare = parseNetwork(entry);
  if (bare !== null) return { type: 'network', network: bare, port: null };
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(entry);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? null : Number(match[3]);
  if (host === undefined || port === 0 || (port !== null && port > 65_535)) return null;
  const network = parseNetwork(host);
  if (network !== null) return { type: 'network', network, port };
  if (match?.[1] !== undefined) return null;
  const isBelow = host.startsWith('*.');
  const name = isBelow ? host.slice(2) : host;
  // A broken address is not a name.
  return NAME.test(name) && !/^[\d.]+$/.test(name) ? { type: 'host', name, isBelow, port } : null;
}

/** A refusal is a text that says why; it never tells what a name resolved to. */
export type Refusal = string;

export function readTarget(text: string): Target | Refusal {
  if (text.length > MAX_URL_CHARS) return `it is longer than ${MAX_URL_CHARS} characters`;
  // The URL parser drops some of these silently and reads a backslash as a slash: two readers could see two hosts.
  if (/[\p{Cc}\s\\]/u.test(text)) return 'it has blanks, control characters or backslashes in it';
  const url = URL.parse(text);
  if (url === null) return 'it is no URL';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'only https:// and http:// can be requested';
  if (url.username !== '' || url.password !== '') return 'it carries a user name or a password';
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const address = parseAddress(host);
  if (address === null && !NAME.test(host)) return 'its host is no name that can be looked up';
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return { url, host, port, address };
}

const fits = (port: number, rule: AllowRule): boolean => rule.port === null || rule.port === port;

/** Did the operator list this host by name? Then it may be anywhere. */
export function isListedHost({ allow }: OutboundRules, { host, port }: Target): boolean {
  return allow.some(
    (rule) =>
      rule.type === 'host' && fits(port, rule) && (rule.isBelow ? host.endsWith(`.${rule.name}`) : host === rule.name),
  );
}

/** What is wrong with asking `target` at this address, or null. */
export function refusalAt(rules: OutboundRules, target: Target, address: Address): Refusal | null {
  const { port } = target;
  const isListed = rules.allow.some(
    (rule) => rule.type === 'network' && fits(port, rule) && isIn(address, rule.network),
  );
  if (isListed) return null;
  if (!isPublic(address)) return 'its host is not on the public internet';
  return refusalOfPublic(rules, target);
}

function refusalOfPublic(rules: OutboundRules, { url, port }: Target): Refusal | null {
  if (url.protocol === 'http:' && !rules.plainHttp) return 'it is not https://';
  if (port < 1024 ? port !== 80 && port !== 443 : OTHER_PROTOCOLS.has(port)) return `port ${port} is not for HTTP`;
  return null;
}

/** RFC 6761: these names are loopback wherever they are looked up, so DNS is not asked for them. */
export function isLoopbackName({ host }: Target): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

/** What is wrong with a target before any name was looked up, or null. Its addresses are checked when they are known. */
export function earlyRefusal(rules: OutboundRules, target: Target): Refusal | null {
  if (isListedHost(rules, target)) return null;
  if (target.address !== null) return refusalAt(rules, target, target.address);
  if (isLoopbackName(target)) return refusalAt(rules, target, Uint8Array.of(127, 0, 0, 1));
  // A name may lead to a network that is listed, where more is allowed.
  return rules.allow.some(({ type }) => type === 'network') ? null : refusalOfPublic(rules, target);
}
