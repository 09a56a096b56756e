/** Frames of the skeleton: length u32, id u32, body. */
import type { Duplex } from 'node:stream';

export function writeFrame(socket: Duplex, id: number, body: Buffer): void {
  const frame = Buffer.allocUnsafe(8 + body.length);
  frame.writeUInt32BE(body.length, 0);
  frame.writeUInt32BE(id, 4);
  body.copy(frame, 8);
  socket.write(frame);
}

export function readFrames(socket: Duplex, onFrame: (id: number, body: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 8) {
      const length = rest.readUInt32BE(at);
      if (rest.length - at < 8 + length) break;
      onFrame(rest.readUInt32BE(at + 4), rest.subarray(at + 8, at + 8 + length));
      at += 8 + length;
    }
    rest = rest.subarray(at);
  });
}
