/**
 * Beside what people glue together today: nginx → `ssh -R` → uvicorn + FastAPI no-op, against the no-op model through
 * Postern. 1 KiB POSTs, 64 keep-alive callers, in turn, in one run. uvicorn alone is shown too.
 *
 *   npm run bench:glue -- [seconds per round, default 5] [rounds, default 3]
 */
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { startGlue } from './support/glue.ts';
import { load, type LoadResult } from './support/load.ts';
import { atLeast, atMost, median, record, storeUsed } from './support/record.ts';

const seconds = Number(process.argv[2] ?? 5);
const rounds = Number(process.argv[3] ?? 3);
const body = Buffer.alloc(1_024, 'postern ');
const headers = { 'Content-Type': 'application/octet-stream', Prefer: 'wait' };

const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'warn' } });
const results: Record<'postern' | 'glue' | 'uvicorn', LoadResult[]> = { postern: [], glue: [], uvicorn: [] };
try {
  const gateway = await system.gateway();
  system.worker(gateway, system.issue('bench'));
  await untilModel(gateway.url, 'echo');
  const glue = await startGlue();
  try {
    const urls = {
      postern: `${gateway.url}/v1/models/local/echo/predictions`,
      glue: glue.url,
      uvicorn: glue.directUrl,
    };
    for (const url of Object.values(urls)) await load({ url, connections: 64, seconds: 2, body, headers });
    for (let n = 1; n <= rounds; n += 1) {
      for (const name of ['postern', 'glue', 'uvicorn'] as const) {
        const result = await load({ url: urls[name], connections: 64, seconds, body, headers });
        results[name].push(result);
        console.log(
          `round ${n}/${rounds} ${name}: ${result.requestsPerSecond.toFixed(0)}/s, p50 ${result.p50Ms} ms, p99 ${result.p99Ms} ms`,
        );
      }
    }
  } finally {
    glue.stop();
  }
  const paired = (pick: (run: LoadResult) => number): number =>
    median(results.postern.map((run, n) => pick(run) / pick(results.glue[n] ?? run)));
  record(
    'glue',
    [
      atLeast(
        "times the glue's requests/s",
        paired((run) => run.requestsPerSecond),
        '×',
        2,
      ),
      atMost(
        "times the glue's p99",
        paired((run) => run.p99Ms),
        '×',
        1,
      ),
    ],
    { store: storeUsed(), callers: 64, bodyBytes: body.length, secondsPerRound: seconds, ...results },
  );
} finally {
  await system.remove();
}
