/** Writes a release into a folder, for machines that fetch it themselves (docs/aws.md). */
import { copyFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PUBLIC_MODE, writeStateFile } from '../../state-file.ts';
import { makeRelease, PROGRAM_ROOT } from '../make-release.ts';

export interface PackFlags {
  readonly out: string;
  readonly source?: string;
  readonly cpu?: 'x64' | 'arm64';
  readonly json?: boolean;
}

export async function pack({ out, source, cpu, json }: PackFlags): Promise<void> {
  const root = source === undefined ? PROGRAM_ROOT : resolve(source);
  const say = (text: string): void => {
    if (json !== true) process.stderr.write(`  ${text}\n`);
  };
  const platform = cpu === undefined ? undefined : { os: 'linux' as const, cpu };
  const { description, layers } = await makeRelease(root, 'gateway', { note: say, bytes: () => undefined }, platform);
  const folder = join(resolve(out), 'layers');
  await mkdir(folder, { recursive: true });
  for (const { archive, bytes, file } of layers) {
    const place = join(folder, archive);
    if ((await stat(place).catch(() => null))?.size === bytes) continue;
    try {
      await copyFile(file, `${place}.part`);
      await rename(`${place}.part`, place);
    } finally {
      await rm(`${place}.part`, { force: true });
    }
  }
  // Last: whoever finds it finds what it lists.
  await writeStateFile(join(resolve(out), 'release.json'), `${JSON.stringify(description, null, 2)}\n`, PUBLIC_MODE);
  process.stdout.write(
    json === true ? `${JSON.stringify(description)}\n` : `Release ${description.id} is in ${out}.\n`,
  );
}
