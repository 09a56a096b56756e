/**
 * A local HTTP server behind the Runner port: passes each exchange to it, and its answer back as it comes. Owner of the
 * server's state, which its health check decides.
 */
import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Timer } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { ServiceExchange, ServiceRunner } from '../../worker/runner.ts';
import { checkAddress, lookupLocal } from './address.ts';
import { createCommand, type Command } from './command.ts';
import type { HttpRunnerOptions } from './options.ts';
import { Pass } from './pass.ts';
import { createRules } from './rules.ts';

/**
 * A connection that nobody uses is closed after so long. Servers close them too (gunicorn after 2 s, uvicorn after 5 s), and a request that is
 * sent in that moment is lost.
 */
const IDLE_MS = 1_500;
/** While it starts it is asked more often than its interval says, so that it is ready as soon as it is. */
const STARTING_INTERVAL_MS = 250;
/** Failures in a row before a service that was ready is taken away: one slow answer is no death. */
const MAX_FAILURES = 2;

export function createHttpRunner(options: HttpRunnerOptions): ServiceRunner {
  const { settings, clock, logger, onState } = options;
  const ruleOf = createRules(settings.rules);
  const agent = new Agent({
    keepAlive: true,
    maxSockets: settings.maxConnections + 1,
    scheduling: 'lifo',
    timeout: IDLE_MS,
  });
  const open = new Set<Pass>();
  let host = '';
  let port = 0;
  let command: Command | null = null;
  let check: Timer | undefined;
  let checking: ClientRequest | null = null;
  let isReady = false;
  let failures = 0;
  let stopped = false;

  // ---- health ------------------------------------------------------------------------------------------------------

  function probe(): void {
    const { path, timeoutMs } = settings.health;
    let isDone = false;
    const done = (problem: string | null): void => {
      if (isDone || stopped) return;
      isDone = true;
      late.cancel();
      checking = null;
      judge(problem);
    };
    const late = clock.after(timeoutMs, () => {
      done(`GET ${path} was not answered within ${timeoutMs} ms`);
      current.destroy();
    });
    // Without the agent: what waits for a connection would hold up the check, and be taken for dead.
    const current = httpRequest({ host, port, path, lookup: lookupLocal, agent: false }, (response) => {
      const { statusCode = 0 } = response;
      response.resume();
      done(statusCode < 400 ? null : `GET ${path} was answered with ${statusCode}`);
    });
    checking = current;
    current.on('error', (error) => done(`GET ${path}: ${error.message}`));
    current.end();
  }

  function judge(problem: string | null): void {
    if (problem === null) {
      failures = 0;
      if (!isReady) logger.info('service is ready', { url: settings.url, port });
      isReady = true;
      onState(true, null);
    } else {
      failures += 1;
      if (!isReady || failures >= MAX_FAILURES) notReady(problem);
    }
    const { intervalMs } = settings.health;
    check = clock.after(isReady ? intervalMs : Math.min(intervalMs, STARTING_INTERVAL_MS), probe);
  }

  function notReady(reason: string): void {
    if (isReady) logger.warn('service is not ready', { reason });
    isReady = false;
    onState(false, reason);
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  function serve(exchange: ServiceExchange): void {
    let rule;
    try {
      rule = ruleOf(exchange.method, exchange.path);
    } catch (error) {
      exchange.fail(error as PosternError, false);
      return;
    }
    const pass = new Pass(exchange, {
      clock,
      rule,
      idleTimeoutMs: settings.idleTimeoutMs,
      connectTimeoutMs: settings.connectTimeoutMs,
      onOver: () => open.delete(pass),
      request: (onResponse: (response: IncomingMessage) => void) =>
        httpRequest(
          {
            host,
            port,
            method: exchange.method,
            path: exchange.path,
            headers: headersOf(exchange),
            agent,
            lookup: lookupLocal,
            setHost: false,
          },
          onResponse,
        ),
    });
    open.add(pass);
    pass.begin();
  }

  function headersOf({ headers, more }: ServiceExchange): string[] {
    const list = ['host', host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`];
    let hasLength = false;
    for (let index = 0; index + 1 < headers.length; index += 2) {
      if (headers[index] === 'content-length') hasLength = true;
      list.push(headers[index]!, headers[index + 1]!);
    }
    if (more && !hasLength) list.push('transfer-encoding', 'chunked');
    list.push(...settings.addHeaders);
    return list;
  }

  return {
    async start() {
      const url = new URL(settings.url.replace('{port}', '1'));
      host = url.hostname.replace(/^\[|\]$/g, '');
      checkAddress(host);
      port = settings.url.endsWith('{port}') ? await freePort(host) : Number(url.port || 80);
      if (settings.command !== null) {
        const { run, env } = settings.command;
        const onExit = (reason: string): void => notReady(reason);
        command = createCommand({ ...options, run, env, port: String(port), onExit });
        command.start();
      }
      probe();
    },
    serve,
    async stop() {
      stopped = true;
      check?.cancel();
      checking?.destroy();
      for (const pass of open) pass.abandon(new PosternError('draining', 'the worker stops'));
      agent.destroy();
      await command?.stop();
    },
  };
}

/** Free a moment ago; the server takes it in the next. */
function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
