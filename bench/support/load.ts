/** HTTP load by wrk (Debian package `wrk`): one thread in C takes little of the cores that are being measured. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly seconds: number;
  /** Responses that were not 2xx, and connections that failed. Anything but 0 spoils the run. */
  readonly errors: number;
}

export interface LoadRequest {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

const REPORT = `
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"errors":%d,"p50":%d,"p99":%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
`;

/** Posts the body on keep-alive connections for some seconds. Rejects when wrk is missing or any request failed. */
export async function load(request: LoadRequest): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  try {
    const bodyFile = join(folder, 'body');
    writeFileSync(bodyFile, request.body);
    const headers = Object.entries(request.headers)
      .map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`)
      .join('\n');
    const script = join(folder, 'post.lua');
    writeFileSync(
      script,
      `wrk.method = "POST"\n${headers}\nlocal f = io.open(${JSON.stringify(bodyFile)}, "rb")\nwrk.body = f:read("*a")\nf:close()\n${REPORT}`,
    );
    const args = [
      '-t1',
      `-c${request.connections}`,
      `-d${request.seconds}s`,
      '--timeout',
      '30s',
      '-s',
      script,
      request.url,
    ];
    const out = await capture('wrk', args);
    const line = out.split('\n').find((text) => text.startsWith('{'));
    if (line === undefined) throw new Error(`wrk printed no summary:\n${out}`);
    const raw = JSON.parse(line) as {
      requests: number;
      microseconds: number;
      errors: number;
      p50: number;
      p99: number;
    };
    if (raw.errors > 0) throw new Error(`${raw.errors} of ${raw.requests} requests failed at ${request.url}`);
    const seconds = raw.microseconds / 1e6;
    return {
      requests: raw.requests,
      requestsPerSecond: raw.requests / seconds,
      p50Ms: raw.p50 / 1_000,
      p99Ms: raw.p99 / 1_000,
      seconds,
      errors: raw.errors,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function capture(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.on('error', () => reject(new Error(`${program} cannot be started: apt-get install ${program}`)));
    child.on('close', (code) =>
      code === 0 ? resolve(out) : reject(new Error(`${program} ended with ${code}:\n${out}`)),
    );
  });
}
