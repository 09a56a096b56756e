/** Is what callers meet the new release? The supervisor has looked on its own machine; this looks from here, if told where. */
import { sleep, type Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Site } from './site.ts';
import { servingRelease } from './supervisor.ts';

const TRIES = 10;
const BETWEEN_MS = 1_000;
const TRY_MS = 5_000;

export async function verifyFront(
  site: Site,
  id: string,
  publicUrl: string | null,
  clock: Clock,
): Promise<{ readonly text: string }> {
  const serving = await servingRelease(site);
  if (serving !== id) {
    throw new PosternError(
      'deploy_failed',
      `expected ${id} to serve, found ${serving ?? 'nothing'}: somebody else may have switched`,
    );
  }
  if (publicUrl === null) return { text: `${site.target} says that ${id} serves` };
  const url = `${publicUrl}/livez`;
  let got = '';
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (tries > 0) await sleep(clock, BETWEEN_MS);
    got = await releaseAt(url);
    if (got.split('/')[0] === id) return { text: `${url} is answered by ${id}` };
  }
  throw new PosternError(
    'deploy_failed',
    `${url} is not answered by ${id} but ${got}: is it this machine that the name leads to, and does a proxy in front remove X-Release?`,
  );
}

async function releaseAt(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TRY_MS), redirect: 'manual' });
    await response.body?.cancel();
    return response.headers.get('x-release') ?? `without X-Release (status ${response.status})`;
  } catch (error) {
    return `not at all (${(error as Error).message})`;
  }
}
