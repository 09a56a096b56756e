/**
 * A receiver of webhooks: verifies, answers at once, and works afterwards. Run it with the secret of your key:
 *
 *   WEBHOOK_SECRET=whsec_… node examples/webhook-receiver/receiver.ts
 */
import { createServer } from 'node:http';
import { verifyWebhook } from '../../src/client/webhook.ts';

const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** Messages that have been worked on: a repetition has the same id. */
const MAX_SEEN = 10_000;
const secret = process.env.WEBHOOK_SECRET ?? '';
const seen = new Set<string>();

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) request.destroy();
    else chunks.push(chunk);
  });
  request.on('end', () => {
    verifyWebhook({ headers: request.headers, body: Buffer.concat(chunks) }, secret).then(
      (prediction) => {
        response.writeHead(204).end();
        const id = String(request.headers['webhook-id']);
        if (seen.has(id)) return;
        seen.add(id);
        if (seen.size > MAX_SEEN) for (const oldest of seen.values().take(1)) seen.delete(oldest);
        process.stdout.write(`${prediction.id} ${prediction.status} ${JSON.stringify(prediction.output)}\n`);
      },
      (error: Error) => {
        process.stderr.write(`${error.message}\n`);
        response.writeHead(401).end();
      },
    );
  });
});
server.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', () => {
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : '';
  process.stdout.write(`listening on http://127.0.0.1:${port}\n`);
});
