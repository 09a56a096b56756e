/** JSON, a line a message, over a stream: how the control socket speaks. Bounded, because whoever opens it may send anything. */
import type { Socket } from 'node:net';

/** A status with some dozens of releases is a few KiB. */
export const MAX_LINE_BYTES = 65_536;

export interface LineHandlers {
  readonly onMessage: (message: Readonly<Record<string, unknown>>) => void;
  /** What came is no line of JSON, or a longer one: the connection is closed. */
  readonly onBroken?: (why: string) => void;
}

export function readLines(socket: Socket, { onMessage, onBroken }: LineHandlers): void {
  let rest = '';
  const broken = (why: string): void => {
    onBroken?.(why);
    socket.destroy();
  };
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    rest += chunk;
    let end = rest.indexOf('\n');
    while (end >= 0 && !socket.destroyed) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      const message = parse(line);
      if (message === null) {
        broken('a line is not a JSON object');
        return;
      }
      onMessage(message);
      end = rest.indexOf('\n');
    }
    if (Buffer.byteLength(rest) > MAX_LINE_BYTES) broken(`a line has more than ${MAX_LINE_BYTES} bytes`);
  });
}

export function sendLine(socket: Socket, message: object): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

function parse(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
