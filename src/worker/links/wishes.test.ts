import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WantedVersions } from '../../protocol/messages.ts';
import { mergeWishes } from './wishes.ts';

const wish = (name: string, revision: number, version: string): WantedVersions => ({
  name,
  revision,
  versions: [version],
  standby: [],
  allowDowntime: false,
});

void test('of each model the latest decision counts, whoever said it, and whenever', () => {
  const [old, fresh] = [wish('plants', 3, '1'), wish('plants', 4, '2')];
  assert.deepEqual(mergeWishes([[old], [fresh]]), [fresh]);
  assert.deepEqual(mergeWishes([[fresh], [old]]), [fresh]);
  assert.deepEqual(mergeWishes([[fresh], []]), [fresh]);
  assert.deepEqual(mergeWishes([[old], [wish('clothes', 1, '1')]]), [old, wish('clothes', 1, '1')]);
  assert.deepEqual(mergeWishes([]), []);
});
