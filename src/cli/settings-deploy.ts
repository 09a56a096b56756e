/** The settings of a supervisor: see `settings.ts`. */

export const FRONTS = ['sockets', 'nginx'] as const;

export const DEPLOY_SETTINGS = {
  POSTERN_DEPLOY_DIR: {
    kind: { type: 'folder' },
    use: 'gateway',
    fallback: './deploy',
    about:
      'Where `postern supervise` finds releases and keeps what it knows of them; see docs/architecture/releases.md.',
  },
  POSTERN_SOAK_S: {
    kind: { type: 'integer', min: 0, max: 86_400 },
    use: 'gateway',
    fallback: '600',
    about:
      'How long the instance that a switch replaced stays ready to take over again at once. It keeps about 80 MiB meanwhile.',
  },
  POSTERN_FRONT: {
    kind: { type: 'choice', choices: FRONTS },
    use: 'gateway',
    fallback: 'sockets',
    about:
      'How a supervisor moves callers to another instance: `sockets`, it holds the sockets; `nginx`, instances take turns on `POSTERN_HTTP_PORT` and the port after it, and nginx is told which.',
  },
  POSTERN_FRONT_URL: {
    kind: { type: 'url' },
    use: 'gateway',
    fallback: null,
    about:
      'With `POSTERN_FRONT=nginx`: where nginx answers on this machine, to verify a switch. By default on the second port after `POSTERN_HTTP_PORT`, as the generated configuration has it.',
  },
  POSTERN_NGINX_RELOAD: {
    kind: { type: 'program' },
    use: 'gateway',
    fallback: 'nginx -s reload',
    about:
      'With `POSTERN_FRONT=nginx`: the command that makes nginx read its configuration again. `none`: something else watches `service-url.inc` and does so.',
  },
} as const;
