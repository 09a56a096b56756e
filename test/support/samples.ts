/** A few photos of the data that tests may read and the project may not keep: `../shared/data/samples`. */
import { existsSync, readFileSync } from 'node:fs';
import { lacking } from './needs.ts';

const FOLDER = new URL('../../../shared/data/samples/', import.meta.url).pathname;

/** What node:test takes as `skip`. */
export const needsSamples = (): false | string =>
  existsSync(FOLDER) ? false : lacking(`there are no sample photos at ${FOLDER}`);

/** `oleander_0` → its JPEG. */
export const sample = (name: string): Buffer => readFileSync(`${FOLDER}${name}.jpg`);
