/**
 * What a caller may make the gateway request. Real servers and a real DNS server on loopback: 127.0.0.1 stands for the
 * public receiver (it is on the operator's list), 127.0.0.2 for the private service that nobody may reach.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startDnsServer, type Zone } from '../../../test/support/dns-server.ts';
import { makeWebCertificate, startWebServer, type Respond } from '../../../test/support/web-server.ts';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { systemClock } from '../../clock.ts';
import { createNames } from './names.ts';
import { createOutbound, type OutboundRequest, type OutboundResult } from './outbound.ts';
import { parseAllowRule, type AllowRule } from './rules.ts';

const rule = (text: string): AllowRule => {
  const parsed = parseAllowRule(text);
  assert.ok(parsed, text);
  return parsed;
};
const get = (url: string, more: Partial<OutboundRequest> = {}): OutboundRequest => ({
  method: 'GET',
  url,
  headers: {},
  timeoutMs: 30_000,
  maxRedirects: 3,
  read: { maxBytes: 1_000, count: () => undefined },
  ...more,
});

/** Allows what `allow` says; names are asked of a DNS server that answers as `zone` says. */
async function outboundWith(t: TestContext, allow: readonly string[], zone: Zone = () => [], ca?: string) {
  const dns = await startDnsServer(t, zone);
  const rules = { allow: allow.map(rule), plainHttp: false };
  const names = createNames({ servers: [dns.server] });
  return { outbound: createOutbound({ clock: systemClock, rules, names, ...(ca === undefined ? {} : { ca }) }), dns };
}

/** A name per attack, and what DNS says of it. */
const ZONE: Readonly<Record<string, readonly string[]>> = {
  'private.test': ['10.1.2.3'],
  'loopback.test': ['127.0.0.1'],
  'metadata.test': ['169.254.169.254'],
  'mixed.test': ['93.184.215.14', '192.168.1.1'],
  'six.test': ['::1'],
  'mapped.test': ['::ffff:127.0.0.1'],
  'unique-local.test': ['fd12:3456::1'],
  'mixed-six.test': ['2606:2800:21f:cb07:6820:80da:af6b:8b2c', 'fe80::1'],
};
const zone: Zone = (name, type) => (ZONE[name] ?? []).filter((address) => address.includes(':') === (type === 'AAAA'));

/** PORT is where a server listens that must not be reached. */
const ATTACKS: readonly (readonly [what: string, url: string])[] = [
  ['loopback', 'https://127.0.0.1:PORT/'],
  ['loopback, another one', 'https://127.8.9.10:PORT/'],
  ['loopback by name', 'https://localhost:PORT/'],
  ['loopback by name, with a dot', 'https://localhost.:PORT/'],
  ['loopback below a name', 'https://a.localhost:PORT/'],
  ['loopback as one decimal number', 'https://2130706433:PORT/'],
  ['loopback in octal', 'https://0177.0.0.1:PORT/'],
  ['loopback in hexadecimal', 'https://0x7f000001:PORT/'],
  ['loopback, shortened', 'https://127.1:PORT/'],
  ['loopback in full-width digits', 'https://１２７.０.０.１:PORT/'],
  ['loopback in circled digits', 'https://①②⑦.0.0.1:PORT/'],
  ['loopback percent-encoded', 'https://%31%32%37.0.0.1:PORT/'],
  ['loopback with a dot at the end', 'https://127.0.0.1.:PORT/'],
  ['this host', 'https://0.0.0.0:PORT/'],
  ['this host, shortened', 'https://0:PORT/'],
  ['IPv6 loopback', 'https://[::1]:PORT/'],
  ['IPv6 this host', 'https://[::]:PORT/'],
  ['IPv4 in IPv6', 'https://[::ffff:127.0.0.1]:PORT/'],
  ['IPv4 in IPv6, in hexadecimal', 'https://[::ffff:7f00:1]:PORT/'],
  ['IPv4 in IPv6, the old form', 'https://[::127.0.0.1]:PORT/'],
  ['NAT64 to loopback', 'https://[64:ff9b::127.0.0.1]/'],
  ['NAT64 to metadata', 'https://[64:ff9b::a9fe:a9fe]/'],
  ['NAT64 of a local network', 'https://[64:ff9b:1::5db8:d70e]/'],
  ['6to4 to loopback', 'https://[2002:7f00:1::]/'],
  ['Teredo', 'https://[2001:0:7f00:1::]/'],
  ['IPv6 link-local', 'https://[fe80::1]/'],
  ['IPv6 unique-local', 'https://[fd00::1]/'],
  ['IPv6 metadata', 'https://[fd00:ec2::254]/latest/meta-data/'],
  ['IPv6 site-local', 'https://[fec0::1]/'],
  ['IPv6 multicast', 'https://[ff02::1]/'],
  ['IPv6 documentation', 'https://[2001:db8::1]/'],
  ['metadata of a cloud', 'https://169.254.169.254/latest/meta-data/'],
  ['metadata as one number', 'https://2852039166/'],
  ['metadata of another cloud', 'https://100.100.100.200/'],
  ['the host of a cloud', 'https://168.63.129.16/'],
  ['private 10', 'https://10.0.0.1/'],
  ['private 172', 'https://172.31.255.255/'],
  ['private 192', 'https://192.168.0.1/'],
  ['behind a provider’s NAT', 'https://100.64.0.1/'],
  ['benchmarks', 'https://198.18.0.1/'],
  ['multicast', 'https://224.0.0.1/'],
  ['broadcast', 'https://255.255.255.255/'],
  ['a user name', 'https://user@example.com/'],
  ['a user name that looks like a host', 'https://example.com:443@127.0.0.1:PORT/'],
  ['a password', 'https://:secret@example.com/'],
  ['a backslash', 'https://example.com\\@127.0.0.1:PORT/'],
  ['a line break', 'https://exa\nmple.com/'],
  ['a tab in the scheme', 'ht\ttps://127.0.0.1:PORT/'],
  ['a file', 'file:///etc/passwd'],
  ['gopher', 'gopher://127.0.0.1:PORT/_x'],
  ['ftp', 'ftp://example.com/x'],
  ['a script', 'javascript:alert(1)'],
  ['plain http', 'http://example.com/'],
  ['mail', 'https://example.com:25/'],
  ['secure shell', 'https://example.com:22/'],
  ['IRC', 'https://example.com:6667/'],
  ['no URL', 'example'],
  ['no host', 'https:///'],
  ['far too long', `https://example.com/${'a'.repeat(3_000)}`],
  ['a name that is private', 'https://private.test/'],
  ['a name that is loopback', 'https://loopback.test:PORT/'],
  ['a name that is metadata', 'https://metadata.test/'],
  ['a name that is private too', 'https://mixed.test/'],
  ['a name that is IPv6 loopback', 'https://six.test:PORT/'],
  ['a name that is IPv4 in IPv6', 'https://mapped.test:PORT/'],
  ['a name that is unique-local', 'https://unique-local.test/'],
  ['a name that is link-local too', 'https://mixed-six.test/'],
];

test('every attack is refused, and nobody is connected to', async (t) => {
  const { outbound } = await outboundWith(t, [], zone);
  const inner = await startWebServer(t);
  for (const [what, template] of ATTACKS) {
    const url = template.replace('PORT', String(inner.port));
    const result = await outbound.send(get(url));
    assert.equal(result.type, 'refused', `${what}: ${JSON.stringify(result)}`);
    const isName = new RegExp(Object.keys(ZONE).join('|')).test(url);
    assert.equal(
      outbound.refusal(url) === null,
      isName,
      `${what}: known before it is sent, unless DNS has to be asked`,
    );
  }
  assert.equal(inner.connections(), 0);
});

test('plain public addresses and names are let through', async (t) => {
  const { outbound } = await outboundWith(t, []);
  for (const url of [
    'https://example.com/hook?x=1#y',
    'https://EXAMPLE.com.:443/',
    'https://8.8.8.8/',
    'https://[2606:4700::1111]:8443/',
    'https://[::ffff:8.8.8.8]/',
    'https://[64:ff9b::8.8.8.8]/',
    'https://xn--9h0bs1j.example/',
    'https://example.com:3000/',
  ]) {
    assert.equal(outbound.refusal(url), null, url);
  }
});

test('a name that rebinds gets no second question, and is connected to where it was checked', async (t) => {
  const good = await startWebServer(t);
  const inner = await startWebServer(t, { host: '127.0.0.2' });
  const { outbound, dns } = await outboundWith(t, ['127.0.0.1'], (_name, type, count) =>
    type === 'AAAA' ? [] : [count === 1 ? '127.0.0.1' : '127.0.0.2'],
  );
  const result = await outbound.send(get(`http://rebind.test:${good.port}/a`));
  assert.equal(result.type, 'answered');
  assert.deepEqual(dns.questions.toSorted(), ['A rebind.test', 'AAAA rebind.test']);
  // The next request asks anew, and sees what the name is now.
  const again = await outbound.send(get(`http://rebind.test:${inner.port}/b`));
  assert.equal(again.type, 'refused');
  assert.equal(inner.connections(), 0);
  const [request] = good.received.entries;
  assert.equal(request?.headers.host, `rebind.test:${good.port}`);
});

test('a redirect is checked like the first URL', async (t) => {
  const inner = await startWebServer(t, { host: '127.0.0.2' });
  const front = await startWebServer(t, {
    respond: ({ path }, response) => response.writeHead(302, { location: decodeURIComponent(path.slice(1)) }).end(),
  });
  const { outbound } = await outboundWith(t, ['127.0.0.1'], (name, type) =>
    type === 'A' && name === 'inner.test' ? ['127.0.0.2'] : [],
  );
  for (const location of [
    `http://127.0.0.2:${inner.port}/`,
    `//127.0.0.2:${inner.port}/`,
    `http://inner.test:${inner.port}/`,
    `http://[::ffff:127.0.0.2]:${inner.port}/`,
    'http://169.254.169.254/',
    'file:///etc/passwd',
    `http://user:secret@127.0.0.1:${front.port}/`,
  ]) {
    const result = await outbound.send(get(`http://127.0.0.1:${front.port}/${encodeURIComponent(location)}`));
    assert.equal(result.type, 'refused', location);
  }
  assert.equal(inner.connections(), 0);
});

test('redirects are followed a bounded number of times, or not at all', async (t) => {
  const respond: Respond = ({ path }, response) => {
    const left = Number(path.slice(1));
    if (left === 0) response.end('there');
    else response.writeHead(307, { location: `/${left - 1}` }).end();
  };
  const { port, received } = await startWebServer(t, { respond });
  const { outbound } = await outboundWith(t, ['127.0.0.1']);
  const url = `http://127.0.0.1:${port}`;
  const there = await outbound.send(get(`${url}/3`));
  assert.equal(there.type === 'answered' && there.body.toString(), 'there');
  assert.deepEqual(await outbound.send(get(`${url}/4`)), {
    type: 'failed',
    reason: 'it redirects more than 3 times',
  });
  const before = received.entries.length;
  const first = await outbound.send(get(`${url}/1`, { maxRedirects: 0 }));
  assert.equal(first.type === 'answered' && first.status, 307);
  assert.equal(received.entries.length, before + 1);
});

test('TLS: the certificate must be of the name, and a redirect to http is refused', async (t) => {
  const { ca, tls } = await makeWebCertificate('good.test');
  const { port } = await startWebServer(t, {
    tls,
    respond: ({ path }, response) =>
      path === '/down' ? response.writeHead(301, { location: 'http://good.test/' }).end() : response.end('secret'),
  });
  const loopback: Zone = (_name, type) => (type === 'A' ? ['127.0.0.1'] : []);
  const { outbound } = await outboundWith(t, ['127.0.0.1'], loopback, ca);
  const good = await outbound.send(get(`https://good.test:${port}/`));
  assert.equal(good.type === 'answered' && good.body.toString(), 'secret');
  const other = await outbound.send(get(`https://other.test:${port}/`));
  assert.deepEqual(other, { type: 'failed', reason: 'the request failed (ERR_TLS_CERT_ALTNAME_INVALID)' });
  const down = await outbound.send(get(`https://good.test:${port}/down`));
  assert.deepEqual(down, { type: 'refused', reason: 'it redirects from https:// to http://' });
  const { outbound: untrusting } = await outboundWith(t, ['127.0.0.1'], loopback);
  const unknown = await untrusting.send(get(`https://good.test:${port}/`));
  assert.match(JSON.stringify(unknown), /failed.*(UNABLE_TO_VERIFY|SELF_SIGNED)/);
});

test('what the operator listed is allowed: networks, hosts, names below one, ports', async (t) => {
  const { port } = await startWebServer(t);
  const loopback: Zone = (_name, type) => (type === 'A' ? ['127.0.0.1'] : []);
  const cases: readonly (readonly [rule: string, url: string, type: OutboundResult['type']])[] = [
    ['127.0.0.0/8', `http://127.0.0.1:${port}/`, 'answered'],
    ['127.0.0.0/8', `http://[::ffff:127.0.0.1]:${port}/`, 'answered'],
    ['127.0.0.0/8', `http://any.test:${port}/`, 'answered'],
    [`127.0.0.1:${port}`, `http://127.0.0.1:${port}/`, 'answered'],
    [`127.0.0.1:1`, `http://127.0.0.1:${port}/`, 'refused'],
    ['::ffff:127.0.0.1', `http://127.0.0.1:${port}/`, 'answered'],
    ['10.0.0.0/8', `http://127.0.0.1:${port}/`, 'refused'],
    ['localhost', `http://localhost:${port}/`, 'answered'],
    ['LOCALHOST', `http://localhost.:${port}/`, 'answered'],
    [`localhost:${port}`, `http://localhost:${port}/`, 'answered'],
    ['localhost:1', `http://localhost:${port}/`, 'refused'],
    ['localhost', `http://127.0.0.1:${port}/`, 'refused'],
    ['127.0.0.0/8', `http://localhost:${port}/`, 'answered'],
    ['*.localhost', `http://localhost:${port}/`, 'refused'],
    ['*.host', `http://localhost:${port}/`, 'refused'],
  ];
  for (const [allowed, url, type] of cases) {
    const { outbound } = await outboundWith(t, [allowed], loopback);
    assert.equal((await outbound.send(get(url))).type, type, `${url} with ${allowed}`);
  }
  for (const broken of [
    '',
    '10.0.0.0/33',
    '10.0.0.0/',
    '1.2.3',
    'a b',
    'host:0',
    'host:70000',
    '[host]:1',
    'http://x',
  ]) {
    assert.equal(parseAllowRule(broken), null, broken);
  }
});

test('a body over the limit is not read to its end, announced or not', async (t) => {
  const { port } = await startWebServer(t, {
    respond: ({ path }, response) => {
      if (path === '/announced') response.writeHead(200, { 'content-length': '1001' });
      response.write(Buffer.alloc(path === '/fits' ? 1_000 : 1_001));
      if (path === '/fits') response.end();
    },
  });
  const { outbound } = await outboundWith(t, ['127.0.0.1']);
  for (const path of ['announced', 'chunked']) {
    assert.deepEqual(await outbound.send(get(`http://127.0.0.1:${port}/${path}`)), { type: 'too_large' });
  }
  const fits = await outbound.send(get(`http://127.0.0.1:${port}/fits`));
  assert.equal(fits.type === 'answered' && fits.body.length, 1_000);
  const full = new Error('no room');
  const read = {
    maxBytes: 10_000,
    count: () => {
      throw full;
    },
  };
  await assert.rejects(outbound.send(get(`http://127.0.0.1:${port}/fits`, { read })), full);
});

test('a server that goes silent, floods headers, or cuts the answer off is a failure', async (t) => {
  const { port } = await startWebServer(t, {
    respond: ({ path }, response) => {
      if (path === '/headers') response.writeHead(200, { 'x-long': 'a'.repeat(20_000) }).end();
      else if (path === '/cut') {
        response.writeHead(200, { 'content-length': '500' });
        response.write('half', () => response.destroy());
      } else if (path === '/slow') response.writeHead(200, { 'content-length': '500' }).write('half');
    },
  });
  const { outbound } = await outboundWith(t, ['127.0.0.1']);
  const url = `http://127.0.0.1:${port}`;
  assert.match(JSON.stringify(await outbound.send(get(`${url}/headers`))), /failed.*HPE_HEADER_OVERFLOW/);
  assert.match(JSON.stringify(await outbound.send(get(`${url}/cut`))), /failed.*the request failed/);
  // Both wait for ever; the clock says when it is enough.
  const clock = createManualClock();
  const patient = createOutbound({ clock, rules: { allow: [rule('127.0.0.1')], plainHttp: false } });
  for (const path of ['/slow', '/silent']) {
    const { promise: half, resolve } = Promise.withResolvers<void>();
    const read = { maxBytes: 1_000, count: () => resolve() };
    const sent = patient.send(get(url + path, { timeoutMs: 5_000, read }));
    if (path === '/slow') await half;
    clock.advance(5_000);
    assert.deepEqual(await sent, { type: 'failed', reason: 'no complete answer within 5 s' });
  }
  assert.equal(clock.timerCount, 0);
});

test('a name that nobody answers for, or that does not exist, is a failure', async (t) => {
  const { outbound } = await outboundWith(t, [], () => []);
  const missing = await outbound.send(get('https://missing.test/'));
  assert.deepEqual(missing, { type: 'failed', reason: 'its host cannot be looked up (ENOTFOUND)' });
});

test('a caller that leaves ends the request: while a name is looked up, and while the body comes', async (t) => {
  const asked = Promise.withResolvers<void>();
  const { outbound: naming } = await outboundWith(t, [], () => (asked.resolve(), null));
  const left = new Error('the caller left');
  const early = new AbortController();
  const lookingUp = naming.send(get('https://silent.test/', { signal: early.signal }));
  await asked.promise;
  early.abort(left);
  await assert.rejects(lookingUp, left);

  const closed = Promise.withResolvers<void>();
  const { port } = await startWebServer(t, {
    respond: (_request, response) => {
      response.on('close', () => closed.resolve());
      response.write('half');
    },
  });
  const { outbound } = await outboundWith(t, ['127.0.0.1']);
  const late = new AbortController();
  const read = { maxBytes: 1_000, count: () => late.abort(left) };
  await assert.rejects(outbound.send(get(`http://127.0.0.1:${port}/`, { signal: late.signal, read })), left);
  await closed.promise;
});

test('proxies of the environment are not used', async (t) => {
  const proxy = await startWebServer(t);
  const { port } = await startWebServer(t);
  const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'NODE_USE_ENV_PROXY'] as const;
  for (const name of names) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : `http://127.0.0.1:${proxy.port}`;
  t.after(() => {
    for (const name of names) delete process.env[name];
  });
  const { outbound } = await outboundWith(t, ['127.0.0.1']);
  assert.equal((await outbound.send(get(`http://127.0.0.1:${port}/`))).type, 'answered');
  assert.equal(proxy.connections(), 0);
});
