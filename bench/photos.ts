/**
 * Photos: how much of a plain in-process loop (decode, then infer, on the same cores) is left when each photo comes in
 * over HTTP, crosses the mTLS link and is batched by a worker? 1-megapixel JPEGs, the bundled plants model.
 *
 *   npm run bench:photos -- [seconds per round, default 6] [rounds, default 3]
 *
 * The loop is run twice: one photo after the other (the plain loop of the target), and with four in flight, which is the
 * best that these two libraries give on this machine and is recorded beside it.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { load } from './support/load.ts';
import { examplePhoto } from './support/photo.ts';
import { cpuSeconds, start } from './support/process.ts';
import { atLeast, median, record, storeUsed } from './support/record.ts';

const seconds = Number(process.argv[2] ?? 6);
const rounds = Number(process.argv[3] ?? 3);

const body = await examplePhoto();
const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'warn' } });
const photoFile = join(system.folder, 'photo.jpg');
writeFileSync(photoFile, body);
const loop = fileURLToPath(new URL('peers/photo-loop.ts', import.meta.url));
const rows: {
  postern: number;
  plain: number;
  pipelined: number;
  posternCpuMs: number;
  p50Ms: number;
  p99Ms: number;
}[] = [];
try {
  const gateway = await system.gateway();
  const worker = system.worker(gateway, system.issue('bench'));
  await untilModel(gateway.url, 'plants');
  const request = {
    url: `${gateway.url}/v1/models/local/plants/predictions`,
    connections: 32,
    body,
    headers: { 'Content-Type': 'image/jpeg', Prefer: 'wait' },
  };
  await load({ ...request, seconds: 2 });
  const inLoop = async (inFlight: number): Promise<number> => {
    const run = await start(process.execPath, [loop, photoFile, String(seconds), String(inFlight)], {
      timeoutMs: (seconds + 30) * 1_000,
    });
    await run.stop();
    return Number(run.ready.imagesPerSecond);
  };
  for (let n = 1; n <= rounds; n += 1) {
    const before = cpuSeconds(gateway.pid) + cpuSeconds(worker.pid);
    const result = await load({ ...request, seconds });
    const used = cpuSeconds(gateway.pid) + cpuSeconds(worker.pid) - before;
    const row = {
      postern: result.requestsPerSecond,
      plain: await inLoop(1),
      pipelined: await inLoop(4),
      posternCpuMs: (used / result.requests) * 1_000,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
    };
    rows.push(row);
    console.log(
      `round ${n}/${rounds}: Postern ${row.postern.toFixed(1)}/s, plain loop ${row.plain.toFixed(1)}/s, four in flight ${row.pipelined.toFixed(1)}/s`,
    );
  }
  record(
    'photos',
    [
      atLeast("share of the plain loop's images/s", median(rows.map((row) => row.postern / row.plain)), '×', 0.85),
      atLeast(
        'share of the loop with four in flight',
        median(rows.map((row) => row.postern / row.pipelined)),
        '×',
        0.85,
      ),
    ],
    { store: storeUsed(), photoBytes: body.length, callers: 32, secondsPerRound: seconds, rows },
  );
} finally {
  await system.remove();
}
