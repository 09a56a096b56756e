/** The skeleton's other end: dials, and sends every body back. */
import { connect } from 'node:tls';
import { readFileSync } from 'node:fs';
import { readFrames, writeFrame } from './skeleton-frames.ts';

const [folder = '', port = ''] = process.argv.slice(2);
const pem = (name: string): Buffer => readFileSync(`${folder}/${name}`);
const socket = connect(
  {
    host: '127.0.0.1',
    port: Number(port),
    key: pem('worker.key'),
    cert: pem('worker.pem'),
    ca: pem('ca.pem'),
    servername: 'localhost',
    minVersion: 'TLSv1.3',
  },
  () => console.log(JSON.stringify({ ready: true })),
).setNoDelay();
readFrames(socket, (id, body) => writeFrame(socket, id, body));
process.on('SIGTERM', () => process.exit(0));
