/** How operations of the OpenAPI document describe what they answer. */
import { ERROR_CODES, type ErrorCode } from '../../errors.ts';
import { ref } from './openapi-schemas.ts';

export const JSON_TYPE = 'application/json';

export const answer = (description: string, schema: object, more: object = {}): object => ({
  description,
  content: { [JSON_TYPE]: { schema } },
  ...more,
});
/** @param schema none for what is more than one text: events, or whatever a model answers */
export const plain = (description: string, type: string, schema: object = { type: 'string' }): object => ({
  description,
  content: { [type]: { schema } },
});

/** The problems of an operation, one response for each status, its codes named. */
export function problems(...codes: ErrorCode[]): Record<string, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = ERROR_CODES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, its]) => [
      String(status),
      {
        description: its.map((code) => `\`${code}\`: ${ERROR_CODES[code].title}.`).join(' '),
        content: { 'application/problem+json': { schema: ref('Problem') } },
      },
    ]),
  );
}
