/* global document, fetch, location */
/** Shows openapi.json. Everything is built as nodes and text, so nothing in the document can become markup. */

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

function node(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text with `code` in it. */
function prose(text = '') {
  return text.split('`').map((part, index) => (index % 2 === 1 ? node('code', { textContent: part }) : part));
}

const shapeName = (schema) => schema?.$ref?.split('/').at(-1) ?? null;

function typeOf(schema = {}) {
  const name = shapeName(schema);
  if (name !== null) return node('a', { href: `#shape-${name}`, textContent: name });
  if (schema.type === 'array') return node('span', {}, 'list of ', typeOf(schema.items));
  const type = [schema.type ?? 'any'].flat().join(' or ');
  return schema.format ? `${type} (${schema.format})` : type;
}

function table(headings, rows) {
  const head = node('tr', {}, ...headings.map((textContent) => node('th', { scope: 'col', textContent })));
  const body = rows.map((cells) => node('tr', {}, ...cells.map((cell) => node('td', {}, ...[cell].flat()))));
  return node('div', { className: 'wide' }, node('table', {}, node('thead', {}, head), node('tbody', {}, ...body)));
}

const allowed = (schema = {}) =>
  schema.enum ? [' ', node('span', { className: 'enum', textContent: schema.enum.join(', ') })] : [];

function operation(path, method, { summary, description, parameters = [], requestBody, responses }) {
  const id = `${method}${path.replace(/[^a-z]+/gi, '-')}`.replace(/-$/, '');
  const bodies = Object.entries(requestBody?.content ?? {});
  const article = node(
    'article',
    { id },
    node(
      'h3',
      {},
      node('span', { className: `method ${method}`, textContent: method.toUpperCase() }),
      ' ',
      node('code', { textContent: path }),
    ),
    node('p', { className: 'summary' }, ...prose(summary)),
    description ? node('p', {}, ...prose(description)) : null,
    parameters.length > 0
      ? table(
          ['Parameter', 'In', 'Meaning'],
          parameters.map(({ name, in: where, description: meaning, schema }) => [
            node('code', { textContent: name }),
            where,
            [...prose(meaning), ...allowed(schema)],
          ]),
        )
      : null,
    bodies.length > 0
      ? table(
          ['Body', 'Shape'],
          bodies.map(([type, { schema }]) => [
            node('code', { textContent: type }),
            [typeOf(schema), ' ', ...prose(schema.description)],
          ]),
        )
      : null,
    table(
      ['Answer', 'Meaning', 'Shape'],
      Object.entries(responses).map(([status, { description: meaning, content = {} }]) => [
        node('strong', { textContent: status }),
        prose(meaning),
        Object.values(content).map(({ schema }) => typeOf(schema)),
      ]),
    ),
  );
  return { id, article, label: `${method.toUpperCase()} ${path}` };
}

function shape(name, { properties = {}, required = [] }) {
  return node(
    'article',
    { id: `shape-${name}` },
    node('h3', { textContent: name }),
    table(
      ['Member', 'Type', 'Meaning'],
      Object.entries(properties).map(([key, schema]) => [
        node('code', { textContent: required.includes(key) ? key : `${key}?` }),
        typeOf(schema),
        [...prose(schema.description), ...allowed(schema)],
      ]),
    ),
  );
}

async function show() {
  const { info, tags, paths, components } = await (await fetch('/openapi.json')).json();
  document.getElementById('about').append(...prose(info.description));
  document.getElementById('example').textContent =
    `curl -F image=@photo.jpg ${location.origin}/v1/models/local/plants/predictions -H 'Prefer: wait'`;
  const contents = document.getElementById('contents');
  const operations = document.getElementById('operations');
  for (const { name } of tags) {
    const section = node('section', {}, node('h2', { textContent: name }));
    const links = node('ul');
    for (const [path, item] of Object.entries(paths)) {
      for (const method of METHODS) {
        if (!item[method]?.tags.includes(name)) continue;
        const { id, article, label } = operation(path, method, item[method]);
        section.append(article);
        links.append(node('li', {}, node('a', { href: `#${id}`, textContent: label })));
      }
    }
    contents.append(node('div', {}, node('h2', { textContent: name }), links));
    operations.append(section);
  }
  document
    .getElementById('shapes')
    .append(
      node('h2', { textContent: 'Shapes' }),
      ...Object.entries(components.schemas).map(([name, schema]) => shape(name, schema)),
    );
  // The place that the address asks for has only come to be now.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

show().catch((error) =>
  document
    .getElementById('operations')
    .append(node('p', { textContent: `openapi.json cannot be shown: ${error.message}` })),
);
