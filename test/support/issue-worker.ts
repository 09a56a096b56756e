/** Makes a worker's identity on the gateway's machine, without a gateway that runs: `issue-worker.ts <data dir> <name> <folder>`. */
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { makeLocalWorker } from '../../src/identity/local-worker.ts';
import { openRecords } from '../../src/identity/records.ts';
import { openTunnelIdentity } from '../../src/identity/tunnel-identity.ts';
import { silentLogger } from '../../src/logger.ts';

const [dataDir = '', name = '', folder = ''] = process.argv.slice(2);
const ttlMs = 86_400_000;
const records = openRecords(dataDir);
const { pki, workers } = await openTunnelIdentity({
  records,
  folder: join(dataDir, 'identity'),
  hosts: [],
  foreign: null,
  certificateTtlMs: ttlMs,
  renewalGraceMs: 0,
  clock: systemClock,
  logger: silentLogger,
});
await makeLocalWorker({ pki, workers, clock: systemClock, name, models: null, ttlMs, folder });
records.close();
