/** The console and the gateway speak of the same columns of the last hour; neither may import the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COLUMNS } from '../src/gateway/activity/series.ts';
import { COLUMNS as READ } from '../web/src/console/shapes.ts';

void test('the console reads the columns that there are', () => {
  assert.deepEqual([...READ], [...COLUMNS]);
});
