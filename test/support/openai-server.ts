/** A small server that has the API of OpenAI below `/v1`, as far as tests ask for it, and tells what it has seen. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Journal } from './journal.ts';

interface ChatRequest {
  readonly model: string;
  readonly stream?: boolean;
  readonly messages: readonly { readonly content: string }[];
}

const chunk = (model: string, content: string | null): string =>
  `data: ${JSON.stringify({
    id: 'c1',
    object: 'chat.completion.chunk',
    created: 1,
    model,
    choices: [
      { index: 0, delta: content === null ? {} : { content }, finish_reason: content === null ? 'stop' : null },
    ],
  })}\n\n`;

/**
 * It answers the last message word by word. `endless` as the message: a stream without an end. `busy`: 503 once, then it
 * answers. `bad`: an error of its own.
 */
export function createOpenAiServer(seen: Journal<string>): Server {
  let wasBusy = false;
  return createServer((request, response) => {
    const { url = '' } = request;
    const json = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    seen.add(`${request.method} ${url} ${request.headers.authorization ?? 'without a key'}`);
    if (url === '/health') json(200, {});
    else if (url === '/v1/embeddings') json(200, { object: 'list', model: 'm', data: [EMBEDDING], usage: USAGE });
    else if (url === '/v1/chat/completions') {
      void textOf(request).then((text) => {
        const { model, stream, messages } = JSON.parse(text) as ChatRequest;
        const content = messages.at(-1)!.content;
        if (content === 'bad') {
          json(400, { error: { message: 'too bad', type: 'invalid_request_error', param: null, code: 'bad' } });
        } else if (content === 'busy' && !wasBusy) {
          wasBusy = true;
          json(503, { error: { message: 'busy', type: 'server_error', param: null, code: null } });
        } else if (stream !== true) {
          const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
          json(200, { id: 'c1', object: 'chat.completion', created: 1, model, choices, usage: USAGE });
        } else {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.once('close', () => seen.add('closed'));
          for (const word of content.split(' ')) response.write(chunk(model, word));
          if (content !== 'endless') response.end(`${chunk(model, null)}data: [DONE]\n\n`);
        }
      });
    } else json(404, { error: { message: 'nothing here', type: 'invalid_request_error', param: null, code: null } });
  });
}

const USAGE = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
const EMBEDDING = { object: 'embedding', index: 0, embedding: [0.25, -1] };

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
}
