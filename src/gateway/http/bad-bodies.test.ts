/** Every kind of bad body over real sockets: a problem with a stable code, nothing buffered beyond the limit. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import type { ErrorCode } from '../../errors.ts';
import { FILE, MODEL, part, refused, send, startHttp } from '../../../test/support/http-service.ts';

describe('bodies', () => {
  const cases: {
    name: string;
    type: string | null;
    body: string | Uint8Array<ArrayBuffer> | null;
    code: ErrorCode;
    path?: string;
  }[] = [
    { name: 'zero bytes, raw', type: 'image/jpeg', body: '', code: 'empty_input' },
    { name: 'no body at all', type: null, body: null, code: 'missing_input' },
    { name: 'an unknown content type', type: 'text/html', body: '<p>', code: 'unsupported_media_type' },
    {
      name: 'what curl -d says',
      type: 'application/x-www-form-urlencoded',
      body: 'a=b',
      code: 'unsupported_media_type',
    },
    { name: 'an SVG-like injection in the type', type: 'image/"evil', body: 'x', code: 'unsupported_media_type' },
    { name: 'broken JSON', type: 'application/json', body: '{"input":', code: 'bad_json' },
    { name: 'empty JSON body', type: 'application/json', body: ' ', code: 'bad_json' },
    {
      name: 'JSON that is not UTF-8',
      type: 'application/json',
      body: new Uint8Array([0x22, 0xff, 0x22]),
      code: 'bad_json',
    },
    { name: 'JSON that is an array', type: 'application/json', body: '[1]', code: 'bad_request' },
    { name: 'JSON without input', type: 'application/json', body: '{}', code: 'missing_input' },
    { name: 'null as input', type: 'application/json', body: '{"input":null}', code: 'missing_input' },
    {
      name: 'a parameter in the wrong place',
      type: 'application/json',
      body: '{"input":{},"top_k":3}',
      code: 'bad_parameter',
    },
    {
      name: 'a prototype as a key',
      type: 'application/json',
      body: '{"input":{"__proto__":{"polluted":1}}}',
      code: 'bad_json',
    },
    {
      name: 'a deep nest',
      type: 'application/json',
      body: `{"input":${'['.repeat(5000)}${']'.repeat(5000)}}`,
      code: 'bad_json',
    },
    {
      name: 'an address that is not fetched',
      type: 'application/json',
      body: '{"input":{"image":"http://169.254.169.254/"}}',
      code: 'input_url_refused',
    },
    {
      name: 'a webhook that is private',
      type: 'application/json',
      body: '{"input":{},"webhook":"https://10.0.0.1/"}',
      code: 'webhook_refused',
    },
    {
      name: 'a webhook that is no text',
      type: 'application/json',
      body: '{"input":{},"webhook":{"url":"https://a.b"}}',
      code: 'bad_parameter',
    },
    {
      name: 'an event that there is not',
      type: 'application/json',
      body: '{"input":{},"webhook":"https://a.b","webhook_events_filter":["finished"]}',
      code: 'bad_parameter',
    },
    {
      name: 'a broken data URL',
      type: 'application/json',
      body: '{"input":{"image":"data:;;;"}}',
      code: 'bad_parameter',
    },
    {
      name: 'broken base64',
      type: 'application/json',
      body: '{"input":{"image":"data:image/png;base64,%%%%"}}',
      code: 'bad_parameter',
    },
    {
      name: 'an empty data URL',
      type: 'application/json',
      body: '{"input":{"image":"data:image/png;base64,"}}',
      code: 'empty_input',
    },
    {
      name: 'a constructor as a parameter',
      type: 'application/json',
      body: '{"input":{"image":"data:,x","constructor":1}}',
      code: 'bad_parameter',
    },
    {
      name: 'too many parameters',
      type: 'application/json',
      body: JSON.stringify({
        input: { image: 'data:,x', ...Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`p${index}`, 1])) },
      }),
      code: 'bad_parameter',
    },
    {
      name: 'parameters that are too large',
      type: 'application/json',
      body: JSON.stringify({ input: { image: 'data:,x', p: 'x'.repeat(20_000) } }),
      code: 'bad_parameter',
    },
    {
      name: 'a deadline in the past',
      type: 'application/json',
      body: '{"input":{},"deadline":"2001-01-01T00:00:00Z"}',
      code: 'deadline_in_past',
    },
    {
      name: 'a deadline in the past, in seconds',
      type: 'application/json',
      body: '{"input":{},"deadline":1000000000}',
      code: 'deadline_in_past',
    },
    {
      name: 'a deadline without a zone',
      type: 'application/json',
      body: '{"input":{},"deadline":"2101-01-01T00:00:00"}',
      code: 'bad_parameter',
    },
    {
      name: 'a priority out of range',
      type: 'application/json',
      body: '{"input":{},"priority":101}',
      code: 'bad_parameter',
    },
    {
      name: 'a model that is no name',
      type: 'application/json',
      body: '{"input":{},"model":"a/b/c"}',
      code: 'bad_parameter',
      path: '/v1/predictions',
    },
    {
      name: 'no model',
      type: 'application/json',
      body: '{"input":{}}',
      code: 'bad_parameter',
      path: '/v1/predictions',
    },
    {
      name: 'an unknown model',
      type: 'application/json',
      body: '{"input":{},"model":"local/nothing"}',
      code: 'model_not_found',
      path: '/v1/predictions',
    },
    { name: 'two models', type: 'application/json', body: '{"input":{},"model":"local/echo"}', code: 'bad_parameter' },
    {
      name: 'an unknown model in the address',
      type: 'image/png',
      body: 'x',
      code: 'model_not_found',
      path: '/v1/models/local/nothing/predictions',
    },
    {
      name: 'a name that no model can have',
      type: 'image/png',
      body: 'x',
      code: 'model_not_found',
      path: '/v1/models/local/..%2F..%2Fetc/predictions',
    },
    { name: 'a form without a boundary', type: 'multipart/form-data', body: 'x', code: 'bad_multipart' },
    { name: 'a form that is no form', type: 'multipart/form-data; boundary=b', body: 'x', code: 'bad_multipart' },
    {
      name: 'a form cut off inside its file',
      type: 'multipart/form-data; boundary=b',
      body: `--b\r\n${FILE}\r\n\r\nabc`,
      code: 'bad_multipart',
    },
    {
      name: 'a form cut off inside its headers',
      type: 'multipart/form-data; boundary=b',
      body: '--b\r\ncontent-disp',
      code: 'bad_multipart',
    },
    {
      name: 'a form without its last boundary',
      type: 'multipart/form-data; boundary=b',
      body: part(FILE, 'abc'),
      code: 'bad_multipart',
    },
    { name: 'an empty form', type: 'multipart/form-data; boundary=b', body: '--b--\r\n', code: 'missing_input' },
    {
      name: 'two files',
      type: 'multipart/form-data; boundary=b',
      body: `${part(FILE, 'a')}${part(FILE, 'b')}--b--\r\n`,
      code: 'bad_multipart',
    },
    {
      name: 'a file in an unknown field',
      type: 'multipart/form-data; boundary=b',
      body: `${part(FILE.replace('image"', 'photo"'), 'a')}--b--\r\n`,
      code: 'bad_multipart',
    },
    {
      name: 'an empty file',
      type: 'multipart/form-data; boundary=b',
      body: `${part(FILE, '')}--b--\r\n`,
      code: 'empty_input',
    },
    {
      name: 'a file name where a file was meant',
      type: 'multipart/form-data; boundary=b',
      body: `${part('content-disposition: form-data; name="image"', 'rose.jpg')}--b--\r\n`,
      code: 'missing_input',
    },
    {
      name: 'too many fields',
      type: 'multipart/form-data; boundary=b',
      body: `${Array.from({ length: 100 }, (_, index) => part(`content-disposition: form-data; name="f${index}"`, '1')).join('')}--b--\r\n`,
      code: 'bad_multipart',
    },
    {
      name: 'a prototype as a field',
      type: 'multipart/form-data; boundary=b',
      body: `${part('content-disposition: form-data; name="__proto__"', '1')}--b--\r\n`,
      code: 'bad_parameter',
    },
    {
      name: 'the same field twice',
      type: 'multipart/form-data; boundary=b',
      body: `${part('content-disposition: form-data; name="a"', '1').repeat(2)}--b--\r\n`,
      code: 'bad_parameter',
    },
    {
      name: 'the same query parameter twice',
      type: 'image/png',
      body: 'x',
      code: 'bad_parameter',
      path: `${MODEL}?a=1&a=2`,
    },
  ];
  for (const { name, type, body, code, path } of cases) {
    test(`${name}: ${code}`, async (t) => {
      const running = await startHttp(t);
      await refused(running, await send(running, type, body, path), code);
      assert.equal(running.fake.submitted.length, 0);
      assert.equal(({} as Record<string, unknown>).polluted, undefined);
    });
  }

  test('thousands of part headers are refused, and so is one that never ends', async (t) => {
    const running = await startHttp(t);
    const many = part(`${FILE}\r\n${'x: y\r\n'.repeat(5000)}x: y`, 'a');
    const endless = part(`${FILE}\r\nx: ${'y'.repeat(200_000)}`, 'a');
    for (const form of [many, endless]) {
      const response = await send(running, 'multipart/form-data; boundary=b', `${form}--b--\r\n`);
      // busboy keeps the headers up to its limit and drops the rest: the input is taken, or the form is refused.
      if (response.status !== 202 && response.status !== 201) await refused(running, response, 'bad_multipart');
    }
    assert.equal((await fetch(`${running.base}/livez`)).status, 200);
  });
});

describe('bodies over the limit', () => {
  const http = { maxBodyBytes: 10_000 };

  test('an announced one is refused before it is sent', async (t) => {
    const running = await startHttp(t, http);
    const head = `POST ${MODEL} HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: 1000000000\r\n\r\n`;
    const socket = connect(running.port, '127.0.0.1');
    socket.write(head);
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    assert.match(chunk.toString(), /^HTTP\/1.1 413 [\s\S]*body_too_large/);
    socket.destroy();
  });

  test('whoever asks with "Expect: 100-continue" is refused without a 100', async (t) => {
    const running = await startHttp(t, http);
    const head = `POST ${MODEL} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-type: image/jpeg\r\ncontent-length: 10001\r\n\r\n`;
    const socket = connect(running.port, '127.0.0.1');
    socket.write(head);
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    assert.match(chunk.toString(), /^HTTP\/1.1 413 /);
    socket.destroy();
  });

  test('a chunked one is refused when it crosses the limit, and the sender can read why', async (t) => {
    const running = await startHttp(t, http);
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        sent += 1;
        if (sent > 50) controller.close();
        else controller.enqueue(new Uint8Array(1000));
      },
    });
    const headers = { 'content-type': 'image/jpeg' };
    const response = await fetch(running.base + MODEL, { method: 'POST', body, headers, duplex: 'half' });
    await refused(running, response, 'body_too_large');
    assert.equal(response.headers.get('connection'), 'close');
  });

  test('a form of that size is refused too', async (t) => {
    const running = await startHttp(t, http);
    const form = new FormData();
    form.set('image', new Blob([new Uint8Array(20_000)]), 'a.jpg');
    await refused(running, await fetch(running.base + MODEL, { method: 'POST', body: form }), 'body_too_large');
  });

  test('a chunked form is refused when it crosses the limit', async (t) => {
    const running = await startHttp(t, http);
    const chunk = `--b\r\n${FILE}\r\n\r\n${'x'.repeat(15_000)}`;
    const head = `POST ${MODEL} HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\ntransfer-encoding: chunked\r\n\r\n`;
    const socket = connect(running.port, '127.0.0.1');
    socket.write(`${head}${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1.1 413 [\s\S]*body_too_large/);
    socket.destroy();
  });

  test('a body of exactly the limit is taken', async (t) => {
    const running = await startHttp(t, http);
    assert.equal((await send(running, 'image/jpeg', new Uint8Array(10_000))).status, 201);
  });

  test('bodies beyond the memory for all of them are refused with Retry-After, and the memory comes back', async (t) => {
    const running = await startHttp(t, { maxBodyBytes: 1_048_576, maxInFlightBytes: 1_048_576 });
    const socket = connect(running.port, '127.0.0.1');
    socket.write(`POST ${MODEL} HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: 1000000\r\n\r\nabc`);
    const metric = async (): Promise<string> =>
      /^postern_body_bytes (\d+)$/m.exec(await (await fetch(`${running.base}/metrics`)).text())?.[1] ?? '';
    while ((await metric()) !== '1000000') continue;
    const response = await send(running, 'image/jpeg', new Uint8Array(100_000));
    assert.equal(response.headers.get('retry-after'), '1');
    const { retry_after } = await refused(running, response, 'overloaded');
    assert.equal(retry_after, 1);
    socket.destroy();
    while ((await metric()) !== '0') continue;
    assert.equal((await send(running, 'image/jpeg', new Uint8Array(100_000))).status, 201);
  });
});
