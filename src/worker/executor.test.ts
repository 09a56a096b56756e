import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import sharp from 'sharp';
import { systemClock } from '../clock.ts';
import { silentLogger } from '../logger.ts';
import { makeModelFolder } from '../../test/support/model-folder.ts';
import type { ModelFolder } from '../../test/support/model-folder.ts';
import { assignmentOf, createRecordingLink } from '../../test/support/recording-link.ts';
import { parseWorkerConfig } from './config.ts';
import { createExecutor } from './executor.ts';

function start(folder: ModelFolder, config = {}) {
  const link = createRecordingLink();
  const executor = createExecutor({
    config: parseWorkerConfig({ modelsDir: folder.path, ...config }),
    link,
    clock: systemClock,
    random: () => 0.5,
    logger: silentLogger,
  });
  return { link, executor };
}

describe('executor with the real runners', () => {
  let folder: ModelFolder;
  before(async () => {
    folder = await makeModelFolder();
    await folder.write('colours', '1');
  });
  after(() => folder.remove());

  test('classifies a photo', async () => {
    const { link, executor } = start(folder);
    await executor.start();
    await executor.settled;
    const red = await sharp({ create: { width: 600, height: 400, channels: 3, background: '#ff0000' } })
      .jpeg()
      .toBuffer();
    const a = assignmentOf(red);
    executor.onAssign(a);
    const end = await link.ended(a.job);
    assert.equal(end.type, 'result');
    await executor.stop();
  });
});
