// Who may import whom: the table of docs/architecture/design.md, section 2. test/tidy.test.ts runs it; types count too.
const ground = '^src/[a-z-]+\\.ts$';
const room = (name) => `^src/${name}/`;

/** Files of `name` may import only these rooms (and themselves, npm packages and node:). */
const only = (name, allowed) => ({
  name: `${name}-imports-only`,
  severity: 'error',
  from: { path: room(name), pathNot: '\\.(test|suite)\\.ts$' },
  to: { path: '^src/', pathNot: [ground, room(name), ...allowed] },
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'ground-floor-imports-node-only',
      severity: 'error',
      from: { path: ground },
      to: { pathNot: ['^node:', ground], dependencyTypesNot: ['core'] },
    },
    only('protocol', []),
    only('dispatch', ['^src/protocol/']),
    only('store', ['^src/dispatch/']),
    only('blobs', []),
    only('identity', ['^src/protocol/']),
    only('gateway', ['^src/protocol/', '^src/dispatch/', '^src/store/', '^src/blobs/', '^src/identity/']),
    only('images', []),
    only('worker', ['^src/protocol/', '^src/identity/', '^src/images/', '^src/runners/registry\\.ts$']),
    only('runners', ['^src/worker/runner\\.ts$', '^src/protocol/datatypes\\.ts$']),
    // What the gateway exports to apps: its ports, and what a route is.
    only('fieldguide', [
      '^src/gateway/(ports|http/route)\\.ts$',
      '^src/store/store\\.ts$',
      '^src/blobs/(blobs|copy|directory)\\.ts$',
      '^src/images/',
    ]),
    // What a version is made of is the worker's to say; S3 is reached as the blobs reach it.
    only('modelstore', [
      '^src/protocol/',
      '^src/worker/(manifest|manifest-keys|repository)\\.ts$',
      '^src/blobs/s3-client\\.ts$',
    ]),
    only('client', ['^src/protocol/']),
    // What stays while releases come and go must not know what is in them.
    only('deploy', ['^src/client/']),
    {
      name: 'pages-import-the-client-alone',
      severity: 'error',
      from: { path: '^web/' },
      to: { path: '^(src|test|bench|scripts)/', pathNot: ['^src/client/', '^src/errors\\.ts$'] },
    },
    {
      name: 'nothing-imports-the-pages',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^web/' },
    },
    {
      name: 'nothing-imports-cli',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/cli/', '\\.test\\.ts$'] },
      to: { path: '^src/cli/' },
    },
    {
      name: 'client-runs-in-a-browser',
      severity: 'error',
      from: { path: '^src/client/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'heavy-libraries-only-where-they-work',
      comment:
        'sharp is loaded by workers and by the field guide’s photo process; onnxruntime by workers alone, and stays out of a release of the gateway',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/worker/', '^src/runners/', '^src/images/', '\\.test\\.ts$'] },
      to: { path: 'node_modules/(sharp|onnxruntime-node)/' },
    },
    {
      name: 'no-development-dependency-in-the-product',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.(test|suite)\\.ts$' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
