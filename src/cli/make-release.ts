/** Makes a release of a clone: its pages are built, its program says what it keeps to, and its layers are packed. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../clock.ts';
import type { ReleaseKind } from '../deploy/archive/layers.ts';
import type { Platform } from '../deploy/archive/packages.ts';
import { buildRelease, type BuiltRelease } from '../deploy/archive/release.ts';
import type { Step } from '../deploy/remote/steps.ts';
import { PosternError } from '../errors.ts';
import { isBuilt } from './web-app.ts';

/** The clone, or the release, that this program lies in. */
export const PROGRAM_ROOT = resolve(import.meta.dirname, '../..');

const HERE: Platform = { os: 'linux', cpu: process.arch === 'arm64' ? 'arm64' : 'x64' };

export async function makeRelease(
  root: string,
  kind: ReleaseKind,
  step: Step,
  platform: Platform = HERE,
): Promise<BuiltRelease> {
  if (kind === 'gateway') await buildPages(root, step);
  return buildRelease({
    root,
    kind,
    platform,
    cache: join(root, '.cache/releases'),
    clock: systemClock,
    describe: () => describe(root),
    onLayer: (name, { bytes, files }) =>
      step.note(`${name}: ${files} files, ${(bytes / 1048576).toFixed(1)} MiB packed`),
  });
}

/** The clone's own program says what its releases keep to: it need not be the version that deploys. */
async function describe(root: string): Promise<Record<string, unknown>> {
  const out = await run(process.execPath, [join(root, 'bin/postern.mjs'), 'releases', 'describe', '--json'], root);
  return JSON.parse(out) as Record<string, unknown>;
}

async function buildPages(root: string, step: Step): Promise<void> {
  const builder = join(root, 'scripts/build-web.ts');
  if (!existsSync(builder) || (root === PROGRAM_ROOT && (await isBuilt()))) return;
  step.note('building the pages');
  await run(process.execPath, [builder], root);
}

const MAX_BUILD_MS = 600_000;

async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const options = { cwd, timeout: MAX_BUILD_MS, maxBuffer: 16 << 20 };
    return (await promisify(execFile)(program, args, options)).stdout;
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    const said = stderr.trim().split('\n').slice(-5).join('\n') || message;
    throw new PosternError('config_invalid', `${program} ${args.join(' ')} failed in ${cwd}:\n${said}`, {
      cause: error,
    });
  }
}

export function checkUserName(name: string): string {
  if (/^[a-z_][a-z0-9_-]{0,30}$/.test(name)) return name;
  throw new PosternError('config_invalid', `--user: expected a name like postern, got "${name.slice(0, 40)}"`);
}
