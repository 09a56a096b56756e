import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesInHello, planDials, targetOf, type Dialled, type GatewayList } from './roster.ts';

const at = (host: string) => ({ host, port: 37_373 });
const link = (host: string, gateway: string | null = null, list: GatewayList | null = null): Dialled => ({
  target: at(host),
  gateway,
  list,
});
const entry = (id: string, host = id) => ({ id, address: `${host}:37373` });
const plan = (seeds: readonly string[], links: readonly Dialled[]) => {
  const { open, close } = planDials(seeds.map(at), links);
  return { open: open.map(({ host }) => host), close: close.map(({ target }) => target.host) };
};

void test('as long as nobody is connected it dials what it was told, and gives up nobody that it knew', () => {
  assert.deepEqual(plan(['a', 'b'], []), { open: ['a', 'b'], close: [] });
  assert.deepEqual(plan(['a'], [link('a'), link('b')]), { open: [], close: [] });
});

void test('a gateway that tells of no other leaves the settings as they are', () => {
  assert.deepEqual(plan(['a'], [link('a', 'a')]), { open: [], close: [] });
  assert.deepEqual(plan(['a', 'b'], [link('a', 'a'), link('b')]), { open: [], close: [] });
});

void test('it dials whoever any connected gateway names, once', () => {
  const [a, b] = [
    [entry('a'), entry('b')],
    [entry('b'), entry('c')],
  ];
  assert.deepEqual(plan(['a'], [link('a', 'a', a)]), { open: ['b'], close: [] });
  assert.deepEqual(plan(['a'], [link('a', 'a', a), link('b')]), { open: [], close: [] });
  assert.deepEqual(plan(['a'], [link('a', 'a', a), link('b', 'b', b)]), { open: ['c'], close: [] });
});

void test('a gateway that was found under another address than it names is not dialled twice', () => {
  const list = [entry('a', '10.0.0.1'), entry('b', '10.0.0.2')];
  assert.deepEqual(plan(['front'], [link('front', 'a', list)]), { open: ['10.0.0.2'], close: [] });
});

void test('a gateway that no list names any more is dialled no more, but a connected one stays', () => {
  const list = [entry('a')];
  assert.deepEqual(plan(['a'], [link('a', 'a', list), link('b')]), { open: [], close: ['b'] });
  assert.deepEqual(plan(['a'], [link('a', 'a', list), link('b', 'b', [entry('b')])]), { open: [], close: [] });
});

void test('behind a balancer the next one is looked for at the same address, one at a time, until all are found', () => {
  const list = [{ id: 'a' }, { id: 'b' }, { id: 'c' }];
  assert.deepEqual(plan(['lb'], [link('lb', 'a', list)]), { open: ['lb'], close: [] });
  assert.deepEqual(plan(['lb'], [link('lb', 'a', list), link('lb')]), { open: [], close: [] });
  assert.deepEqual(plan(['lb'], [link('lb', 'a', list), link('lb', 'b', list)]), { open: ['lb'], close: [] });
  const all = ['a', 'b', 'c'].map((id) => link('lb', id, list));
  assert.deepEqual(plan(['lb'], all), { open: [], close: [] });
  assert.deepEqual(plan(['lb'], [...all.slice(0, 2), link('lb')]), { open: [], close: [] });
  assert.deepEqual(plan(['lb'], [...all, link('lb')]), { open: [], close: ['lb'] });
});

void test('while somebody is missing the settings are tried too: the address that a list names may be no good from here', () => {
  const list = [entry('a', '10.0.0.1'), entry('b', '10.0.0.2')];
  assert.deepEqual(plan(['a', 'b'], [link('a', 'a', list), link('b')]), { open: ['10.0.0.2'], close: [] });
});

void test('with more gateways than a hello can name nobody is looked for behind a balancer, but the addresses that are named are dialled', () => {
  const ids = Array.from({ length: 66 }, (_, n) => `gw-${n}`);
  const list = [...ids.map((id) => ({ id })), entry('z', '10.0.0.9')];
  const linked = (count: number) => ids.slice(0, count).map((id) => link('lb', id, list));
  assert.deepEqual(plan(['lb', 'lb2'], linked(64)), { open: ['10.0.0.9', 'lb2', 'lb'], close: [] });
  assert.deepEqual(plan(['lb', 'lb2'], linked(65)), { open: ['10.0.0.9'], close: [] });
  assert.deepEqual(plan(['lb', 'lb2'], [...linked(65), link('lb')]), { open: ['10.0.0.9'], close: ['lb'] });
});

void test('names of gateways take so many bytes of a hello as JSON has them, whatever their letters', () => {
  for (const letter of ['a', '\u{1F680}', '"', '\u0007']) {
    const name = letter.repeat(24);
    const all = Array.from({ length: 65 }, (_, n) => `${name}${n}`);
    const names = namesInHello(all);
    assert.ok(names.length > 0 && names.length <= 64);
    assert.ok(Buffer.byteLength(JSON.stringify(names)) <= 2_001, letter);
  }
  const short = ['a', 'b', 'c'];
  assert.deepEqual(namesInHello(short), short);
});

void test('an address is a host and a port, also of IPv6, and nothing else', () => {
  assert.deepEqual(targetOf('gw.example:37373'), { host: 'gw.example', port: 37_373 });
  assert.deepEqual(targetOf('[2001:db8::1]:1'), { host: '2001:db8::1', port: 1 });
  for (const text of ['gw.example', 'gw.example:0', 'gw.example:65536', 'http://gw:1', '::1:5', '', 'a b:1']) {
    assert.equal(targetOf(text), null, text);
  }
});
