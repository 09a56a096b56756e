/** The settings of whom a worker dials: see `settings.ts`. */

export const TARGET_SETTINGS = {
  TARGET_HOST: {
    kind: { type: 'targets' },
    use: 'worker',
    fallback: '127.0.0.1',
    about:
      'Host of the gateway that the worker dials, or of several with commas between, each perhaps with a port (`a.example,b.example:37373`): they tell it of the others of their cluster. By default where it joined, and 127.0.0.1 if it did not.',
  },
  TARGET_PORT: {
    kind: { type: 'port', min: 1 },
    use: 'worker',
    fallback: '37373',
    about: 'Tunnel port of those gateways for which TARGET_HOST says none.',
  },
  POSTERN_GATEWAY_NAME: {
    kind: { type: 'host' },
    use: 'worker',
    fallback: null,
    about:
      'With certificates of another authority: the name that the gateway’s certificate must carry. By default `postern-gateway`, which an own authority writes.',
  },
} as const;
