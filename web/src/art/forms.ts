/** The forms that a guide may name, and who draws them. */
import type { Form } from './leaves.ts';
import { twig } from './leaves.ts';

export const FORMS: Readonly<Record<string, Form>> = { twig };
