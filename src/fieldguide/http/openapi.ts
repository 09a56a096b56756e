/** The field guide's part of the OpenAPI document. */
import type { OpenApiPart } from '../../gateway/ports.ts';
import { both, path, query, text } from './openapi-shapes.ts';
import { IDENTIFY_PATHS } from './openapi-identify.ts';
import { IDENTIFY_SCHEMAS } from './openapi-identify-schemas.ts';

const names = { type: 'array', items: text };
const cursor = { type: ['string', 'null'], description: 'For the next page; null: this was the last.' };

const summary = {
  id: text,
  names: { type: 'object', required: ['en', 'ko'], properties: { en: names, ko: names } },
  scientific_name: { type: ['string', 'null'] },
  family: { type: ['object', 'null'], properties: { la: text, ko: text } },
  danger: { type: ['object', 'null'], properties: { level: text, dangerous: { type: 'boolean' } } },
  drawing: {
    type: ['object', 'null'],
    description: 'How the app draws it; null: as it likes.',
    properties: { form: text, colour: text, second: text, count: { type: 'integer' }, leaf: text },
  },
};
const overview = { id: text, model: text, entries: { type: 'integer' }, title: both };

const guide = path('guide', 'Id of the guide.');
const ok = (schema: object): object => ({ description: 'It.', content: { 'application/json': { schema } } });
const problem = (description: string): object => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});
const operation = (
  summaryText: string,
  parameters: readonly object[],
  schema: object,
  problems: object,
): { readonly get: object } => ({
  get: {
    tags: ['Field guide'],
    summary: summaryText,
    parameters,
    responses: { 200: ok(schema), 304: { description: 'Unchanged.' }, ...problems },
  },
});
const noGuide = problem('`guide_not_found`: There is no guide with this name.');

export const FIELD_GUIDE_OPENAPI: OpenApiPart = {
  tag: 'Field guide',
  schemas: {
    ...IDENTIFY_SCHEMAS,
    GuideEntrySummary: { type: 'object', required: Object.keys(summary), properties: summary },
    GuideOverview: { type: 'object', required: Object.keys(overview), properties: overview },
  },
  paths: {
    ...IDENTIFY_PATHS,
    '/api/guides': operation(
      'All guides',
      [],
      {
        type: 'object',
        required: ['items'],
        properties: { items: { type: 'array', items: { $ref: '#/components/schemas/GuideOverview' } } },
      },
      {},
    ),
    '/api/guides/{guide}': operation(
      'A guide: its texts, levels of danger, families',
      [guide],
      { $ref: '#/components/schemas/GuideOverview' },
      { 404: noGuide },
    ),
    '/api/guides/{guide}/entries': operation(
      'Entries in the order of their names, or those that a text may mean',
      [
        guide,
        query(
          'q',
          'Any name, or part of one; typing errors, initial consonants and the wrong keyboard layout are forgiven.',
          {
            type: 'string',
            maxLength: 100,
          },
        ),
        query('level', 'Only this level of danger.'),
        query('family', 'Only this family (Latin name).'),
        query('lang', 'Whose names give the order.', { type: 'string', enum: ['en', 'ko'] }),
        query('limit', 'Entries on a page.', { type: 'integer', minimum: 1, maximum: 100, default: 30 }),
        query('cursor', '`next` of the page before.'),
      ],
      {
        type: 'object',
        required: ['items', 'next'],
        properties: {
          items: { type: 'array', items: { $ref: '#/components/schemas/GuideEntrySummary' } },
          next: cursor,
        },
      },
      { 400: problem('`bad_parameter`: A parameter cannot be used.'), 404: noGuide },
    ),
    '/api/guides/{guide}/entries/{entry}': operation(
      'One entry with its facts, their sources, and what is easily taken for it',
      [guide, path('entry', 'Id of the entry, or of a member of one.')],
      { $ref: '#/components/schemas/GuideEntrySummary' },
      { 404: problem('`guide_not_found`, `entry_not_found`: There is no such guide, or no such entry in it.') },
    ),
  },
};
