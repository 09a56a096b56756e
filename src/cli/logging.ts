/** Binds the logging port to standard error: pino's JSON lines for machines, short readable lines on a terminal. */
import pino from 'pino';
import { PosternError } from '../errors.ts';
import { systemClock } from '../clock.ts';
import type { LogFields, Logger } from '../logger.ts';
import type { LogLevel } from './config.ts';
import { paint } from './terminal.ts';

/** Fields that must never be shown, whoever logs them by mistake. */
const HIDDEN = new Set(['authorization', 'cookie', 'key', 'keyPem', 'token', 'ticket', 'password', 'secret']);
const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'];

export function createLogger(level: LogLevel, stream: NodeJS.WriteStream = process.stderr): Logger {
  return stream.isTTY ? readableLogger(level, stream, {}) : jsonLogger(level, stream);
}

function jsonLogger(level: LogLevel, stream: NodeJS.WritableStream): Logger {
  const root = pino(
    {
      level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    stream,
  );
  const wrap = (target: pino.Logger): Logger => ({
    debug: (message, fields) => target.debug(safeFields(fields), message),
    info: (message, fields) => target.info(safeFields(fields), message),
    warn: (message, fields) => target.warn(safeFields(fields), message),
    error: (message, fields) => target.error(safeFields(fields), message),
    child: (fields) => wrap(target.child(safeFields(fields))),
  });
  return wrap(root);
}

function readableLogger(level: LogLevel, stream: NodeJS.WriteStream, base: LogFields): Logger {
  const threshold = LEVELS.indexOf(level);
  const write = (name: string, message: string, fields: LogFields | undefined): void => {
    if (LEVELS.indexOf(name) < threshold) return;
    const time = new Date(systemClock.now()).toTimeString().slice(0, 8);
    const colour = name === 'error' ? 'red' : name === 'warn' ? 'yellow' : 'dim';
    const pairs = Object.entries(safeFields({ ...base, ...fields }))
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) =>
        paint(stream, 'dim', `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`),
      );
    stream.write(
      `${paint(stream, 'dim', time)} ${paint(stream, colour, name.padEnd(5))} ${[message, ...pairs].join(' ')}\n`,
    );
  };
  return {
    debug: (message, fields) => write('debug', message, fields),
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
    child: (fields) => readableLogger(level, stream, { ...base, ...fields }),
  };
}

/** Errors become plain objects (JSON would show `{}`), hidden fields stay hidden, bytes show their number. */
export function safeFields(fields: LogFields | undefined): Record<string, unknown> {
  const safe: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (HIDDEN.has(key)) safe[key] = '[secret]';
    else if (value instanceof Error) safe[key] = describeError(value);
    else if (value instanceof Uint8Array) safe[key] = `${value.byteLength} bytes`;
    else safe[key] = value;
  }
  return safe;
}

function describeError(error: Error): Record<string, unknown> {
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {};
  if (error instanceof PosternError && error.code !== 'internal')
    return { code: error.code, message: error.message, ...cause };
  return { message: error.message, ...cause, stack: error.stack };
}
