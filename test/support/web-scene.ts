/** The field guide as people meet it: a gateway with its pages, a worker with the real models, a browser, and photos. */
import type { Browser } from 'playwright-core';
import { noBrowser, startBrowser } from './browser.ts';
import { PosternSystem, untilModel, type Gateway, type Process } from './postern.ts';
import { needsSamples, sample } from './samples.ts';

export const noScene = (): false | string => noBrowser() || needsSamples();

/** A photo as a file that somebody chooses. */
export const photoFile = (name: string): { name: string; mimeType: string; buffer: Buffer } => ({
  name: `${name}.jpg`,
  mimeType: 'image/jpeg',
  buffer: sample(name),
});

export interface WebScene {
  readonly system: PosternSystem;
  readonly gateway: Gateway;
  readonly browser: Browser;
  /** The present worker. */
  worker(): Process;
  /** Another one in its place; the one before must be gone. */
  newWorker(): Promise<Process>;
  stop(): Promise<void>;
}

/** Identifies photos only with `worker`; without one the guide can be read all the same. */
export async function startWebScene({ worker: wanted = true } = {}): Promise<WebScene> {
  const system = new PosternSystem();
  try {
    const gateway = await system.gateway();
    const identity = wanted ? system.issue('desk') : '';
    const start = async (): Promise<Process> => {
      const started = system.worker(gateway, identity);
      await untilModel(gateway.url, 'plants', 90_000);
      return started;
    };
    let worker = wanted ? await start() : null;
    const browser = await startBrowser();
    return {
      system,
      gateway,
      browser,
      worker() {
        if (worker === null) throw new Error('the scene has no worker');
        return worker;
      },
      async newWorker() {
        return (worker = await start());
      },
      async stop() {
        await browser.close();
        await system.remove();
      },
    };
  } catch (error) {
    await system.remove();
    throw error;
  }
}
