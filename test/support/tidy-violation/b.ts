import { a } from './a.ts';
/** A cycle on purpose: test/tidy.test.ts checks that the structure test can see one. */
export const b = (): number => a();
