/** The local server of `bench/services.ts`, a process of its own: 1 KiB of JSON, a little work, and a stream of tokens. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const answer = JSON.stringify({ text: 'x'.repeat(1_000) });

const server = createServer((request, response) => {
  request.resume();
  if (request.url === '/stream') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: token\n\n');
    setTimeout(() => response.end('data: [DONE]\n\n'), 2);
    return;
  }
  if (request.url === '/model') {
    // About what a small network costs on a core.
    const until = performance.now() + 2;
    while (performance.now() < until);
  }
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer);
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
});
