/** Small shapes of which the field guide's part of the OpenAPI document consists. */
export const text = { type: 'string' };
export const time = { type: 'string', format: 'date-time' };
export const timeOrNull = { type: ['string', 'null'], format: 'date-time' };
export const textOrNull = { type: ['string', 'null'] };
export const flag = { type: 'boolean' };
export const count = { type: 'integer', minimum: 0 };
export const probability = { type: 'number', minimum: 0, maximum: 1 };
export const both = { type: 'object', required: ['en', 'ko'], properties: { en: text, ko: text } };
export const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
export const orNull = (schema: object): object => ({ oneOf: [schema, { type: 'null' }] });
export const list = (items: object): object => ({ type: 'array', items });
/** Every member is always there. */
export const whole = (properties: Readonly<Record<string, object>>): object => ({
  type: 'object',
  required: Object.keys(properties),
  properties,
});

export const path = (name: string, description: string): object => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: text,
});
export const query = (name: string, description: string, schema: object = text): object => ({
  name,
  in: 'query',
  description,
  schema,
});
