/** The gateway's side of the link check (`postern doctor`): it counts what it is sent and sends what it is asked, bounded. */
import type { Connection } from '../protocol/connection.ts';
import type { Message } from '../protocol/messages.ts';

/** One payload. 8 MiB show the throughput of 100 Mbit/s in 0.7 s. */
export const MAX_PROBE_BYTES = 8 * 1024 * 1024;
/** All payloads of one connection, both ways. */
export const MAX_PROBE_TOTAL_BYTES = 256 * 1024 * 1024;
/** After this long a link check is over, finished or not. */
export const MAX_PROBE_MS = 60_000;

/** Answers one probe connection's messages; closes it when it asks for too much or says anything else. */
export function createProbe(connection: Connection): (message: Message, payload: Buffer) => void {
  let totalBytes = 0;

  function allow(bytes: number): boolean {
    totalBytes += bytes;
    if (bytes <= MAX_PROBE_BYTES && totalBytes <= MAX_PROBE_TOTAL_BYTES) return true;
    connection.close(
      'protocol_error',
      `a link check takes ${MAX_PROBE_BYTES} bytes at once, ${MAX_PROBE_TOTAL_BYTES} in all`,
    );
    return false;
  }

  return (message, payload) => {
    if (message.type === 'probe') {
      if (allow(payload.byteLength)) connection.send({ type: 'probe_report', bytes: 0, received: payload.byteLength });
    } else if (message.type === 'probe_request') {
      const { bytes } = message;
      // Compression is off in TLS 1.3, so zeros travel like anything else.
      if (allow(bytes)) connection.send({ type: 'probe_report', bytes, received: 0 }, Buffer.alloc(bytes));
    } else {
      connection.close('protocol_error', `a link check does not send ${message.type}`);
    }
  };
}
