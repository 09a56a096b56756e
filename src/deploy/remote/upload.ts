/** Sends the layers that are not there yet, each from where an earlier upload was cut off, and makes the release of them. */
import { createReadStream } from 'node:fs';
import { Transform } from 'node:stream';
import { PosternError } from '../../errors.ts';
import type { CachedLayer } from '../archive/pack.ts';
import type { BuiltRelease } from '../archive/release.ts';
import { appendScript, assembleScript, EXIT, inventoryScript, unpackScript } from './scripts.ts';
import { pairs, type Site } from './site.ts';
import type { Ended } from './machine.ts';
import type { Step } from './steps.ts';

export interface Inventory {
  readonly hasRelease: boolean;
  readonly missing: readonly { readonly layer: CachedLayer; readonly offset: number }[];
}

export async function takeInventory(site: Site, { description, layers }: BuiltRelease): Promise<Inventory> {
  const ended = await site.run(inventoryScript(site.dir, description.id, layers));
  if (ended.code !== 0) throw failure(site, 'its releases cannot be listed', ended);
  const said = pairs(ended.out);
  const present = new Set(said.filter(([key]) => key === 'layer').map(([, content]) => content));
  const parts = new Map(
    said
      .filter(([key]) => key === 'part')
      .map(([, value]) => value.split(':') as [string, string])
      .map(([archive, bytes]) => [archive, Number(bytes)]),
  );
  return {
    hasRelease: said.some(([key]) => key === 'release'),
    missing: layers
      .filter(({ content }) => !present.has(content))
      // More than there is to send is not ours to go on with: the hash would refuse it.
      .map((layer) => ({ layer, offset: Math.min(parts.get(layer.archive) ?? 0, layer.bytes) })),
  };
}

/** What the supervisor wants free before it switches. */
const KEEP_FREE_BYTES = 256 << 20;

/** Refuses before anything is sent what the disk there has no room for. */
export function checkRoom(site: Site, { missing }: Inventory): void {
  const needed = missing.reduce((sum, { layer, offset }) => sum + layer.bytes - offset + layer.unpackedBytes, 0);
  const { freeBytes } = site.probe;
  if (missing.length === 0 || freeBytes >= needed + KEEP_FREE_BYTES) return;
  throw new PosternError(
    'storage_full',
    `${site.target} has ${mib(freeBytes)} free in ${site.dir}: the release needs ${mib(needed)}, and ${mib(KEEP_FREE_BYTES)} stay free; remove something there, or take a larger disk`,
  );
}

/** Between two reports of progress. */
const REPORT_BYTES = 512 << 10;

export async function upload(site: Site, { missing }: Inventory, step: Step): Promise<{ readonly text: string }> {
  const total = missing.reduce((sum, { layer }) => sum + layer.bytes, 0);
  let done = missing.reduce((sum, { offset }) => sum + offset, 0);
  const resumed = done;
  for (const { layer, offset } of missing) {
    if (offset === layer.bytes) continue;
    let unreported = 0;
    const counter = new Transform({
      transform(chunk: Buffer, _, callback) {
        done += chunk.length;
        unreported += chunk.length;
        if (unreported >= REPORT_BYTES) {
          unreported = 0;
          step.bytes(done, total);
        }
        callback(null, chunk);
      },
    });
    const file = createReadStream(layer.file, { start: offset, highWaterMark: 64 << 10 });
    file.once('error', (error) => counter.destroy(error));
    const ended = await site.run(appendScript(site.dir, layer.archive, offset), { input: file.pipe(counter) });
    if (ended.code !== 0) throw failure(site, `the ${layer.name} could not be sent`, ended);
    step.bytes(done, total);
  }
  const what = missing.length === 0 ? 'nothing to send: every layer is there' : `${mib(total - resumed)} sent`;
  return { text: resumed > 0 ? `${what}, ${mib(resumed)} were there from an earlier try` : what };
}

/** Checks the hashes there, unpacks, and makes the release; nothing is under its name before it is complete and flushed. */
export async function unpack(
  site: Site,
  built: BuiltRelease,
  inventory: Inventory,
): Promise<{ readonly text: string }> {
  const { description, layers } = built;
  for (const { layer } of inventory.missing) {
    const ended = await site.run(unpackScript(site.dir, layer));
    if (ended.code !== 0) throw failure(site, `the ${layer.name} could not be unpacked`, ended);
  }
  const input = `${JSON.stringify(description, null, 2)}\n`;
  const ended = await site.run(assembleScript(site.dir, description.id, layers), { input });
  if (ended.code !== 0) throw failure(site, 'the release could not be put together', ended);
  return {
    text: `${inventory.missing.length} of ${layers.length} layers were new; ${site.dir}/releases/${description.id}`,
  };
}

function failure(site: Site, what: string, { code, err }: Ended): PosternError {
  switch (code) {
    case EXIT.busy:
      return new PosternError(
        'deploy_locked',
        `${site.target}: ${what}: somebody else sends the same part now; wait for it`,
      );
    case EXIT.moved:
      return new PosternError(
        'deploy_failed',
        `${site.target}: ${what}: the upload there has changed meanwhile; deploy again`,
      );
    case EXIT.damaged:
      return new PosternError(
        'deploy_failed',
        `${site.target}: ${what}: what arrived has another hash, and was removed; deploy again`,
      );
    case EXIT.unwritten:
      return new PosternError(
        'storage_full',
        `${site.target}: ${what} (${err || 'no reason given'}); what was sent is removed`,
      );
    default:
      return new PosternError('deploy_failed', `${site.target}: ${what}: ${err || `exit code ${code}`}`);
  }
}

export const mib = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MiB`;
