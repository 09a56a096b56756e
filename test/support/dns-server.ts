/** A DNS server on loopback that answers A and AAAA questions as the test says, each question anew: so a name can rebind. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import type { TestContext } from 'node:test';

/** Addresses of a name at its n-th question of this type, from 1; null: no answer at all. */
export type Zone = (name: string, type: 'A' | 'AAAA', count: number) => readonly string[] | null;

export interface DnsServer {
  /** `address:port`, as resolvers take it. */
  readonly server: string;
  /** Every question, as `A name`. */
  readonly questions: readonly string[];
}

const TYPE_A = 1;
const TYPE_AAAA = 28;
const NAME_ERROR = 3;
const HEADER_BYTES = 12;

export async function startDnsServer(t: TestContext, zone: Zone): Promise<DnsServer> {
  const questions: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const { name, end } = readName(query);
    const typeNumber = query.readUInt16BE(end);
    const type = typeNumber === TYPE_A ? 'A' : 'AAAA';
    const question = `${type} ${name}`;
    questions.push(question);
    const count = questions.filter((one) => one === question).length;
    const addresses = zone(name, type, count);
    if (addresses === null) return;
    socket.send(answer(query, end, typeNumber, addresses), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return { server: `127.0.0.1:${socket.address().port}`, questions };
}

function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

function answer(query: Buffer, nameEnd: number, type: number, addresses: readonly string[]): Buffer {
  const header = Buffer.from(query.subarray(0, HEADER_BYTES));
  // An answer, recursion available.
  header.writeUInt16BE(0x8180 | (addresses.length === 0 ? NAME_ERROR : 0), 2);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt32BE(0, 8);
  const records = addresses.map((address) => {
    const data = type === TYPE_AAAA ? ipv6Bytes(address) : Uint8Array.from(address.split('.'), Number);
    const head = Buffer.alloc(12);
    // A pointer to the question's name; class IN; to be forgotten at once.
    head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(data.length, 10);
    return Buffer.concat([head, data]);
  });
  return Buffer.concat([header, query.subarray(HEADER_BYTES, nameEnd + 4), ...records]);
}

/** Written apart from the product's own reading of addresses, which is what is tested with it. */
function ipv6Bytes(text: string): Uint8Array {
  if (isIPv4(text)) throw new Error(`${text} is no answer to an AAAA question`);
  const host = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [head = '', tail = ''] = host.split('::');
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const gap = host.includes('::') ? 8 - words(head).length - words(tail).length : 0;
  const all = [...words(head), ...new Array<string>(gap).fill('0'), ...words(tail)];
  return Uint8Array.from(all.flatMap((word) => [...Buffer.from(word.padStart(4, '0'), 'hex')]));
}
