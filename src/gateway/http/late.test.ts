/** Requests that are passed on arrive as their caller sent them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { isPrivate, openPrivateSocket, passOn, takeCaller } from './late.ts';

void test('a late request keeps its path, headers, caller and body, with a length or without; its answer closes the connection', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-late-'));
  const path = join(folder, 'next.sock');
  const next = createServer((request, response) => {
    assert.ok(isPrivate(request.socket));
    takeCaller(request);
    void text(request).then((body) => {
      const { method, url, headers, socket } = request;
      response.end(JSON.stringify({ method, url, key: headers['x-key'], from: socket.remoteAddress, body }));
    });
  });
  const door = await openPrivateSocket(next, path);
  const old = createServer((request, response) => void passOn(request, response, path));
  await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    door.close();
    old.close();
    next.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });
  const { port } = old.address() as AddressInfo;
  for (const framing of [{ 'content-length': 6 }, {}]) {
    const sent = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/a?b=c',
      headers: { 'x-key': 'k', ...framing },
    });
    sent.write('ab');
    sent.write('cd');
    sent.end('ef');
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    assert.equal(answer.headers.connection, 'close');
    const got = JSON.parse(await text(answer)) as unknown;
    assert.deepEqual(got, { method: 'POST', url: '/a?b=c', key: 'k', from: '127.0.0.1', body: 'abcdef' });
  }
});
