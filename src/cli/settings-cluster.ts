/** The settings of gateways that share a database: see `settings.ts`. */

export const CLUSTER_SETTINGS = {
  POSTERN_DATABASE_LISTEN_URL: {
    kind: { type: 'database' },
    use: 'gateway',
    fallback: null,
    about:
      'The same database past any pooler, for notifications: a pooler that gives every transaction another connection carries none. By default `DATABASE_URL`.',
  },
  POSTERN_PEER_HOST: {
    kind: { type: 'host' },
    use: 'gateway',
    fallback: null,
    about:
      'With `DATABASE_URL`: the address on which this gateway takes requests that other gateways cannot serve, mutual TLS only. By default the one from which it reaches the database.',
  },
  POSTERN_PEER_PORT: {
    kind: { type: 'port', min: 0 },
    use: 'gateway',
    fallback: '0',
    about:
      'Its port: the first free one of the sixteen from here on, because a release that comes and one that goes are beside each other. 0 lets the system choose.',
  },
  POSTERN_PEER_ADDRESS: {
    kind: { type: 'address' },
    use: 'gateway',
    fallback: null,
    about:
      'Host, or `host:port`, under which the other gateways reach it, where that is another one. By default what it listens on.',
  },
} as const;
