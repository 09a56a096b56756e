/**
 * The systemd units of a gateway's supervisor and of a worker. Generated and never edited: what differs from machine to
 * machine is in the settings; `systemctl edit` adds to a unit what a site needs. Every directive is one of systemd 245
 * (Debian 11, Ubuntu 20.04) or older.
 */

export interface GatewayUnit {
  readonly type: 'gateway';
  /** The folder of releases. */
  readonly dir: string;
  /** The working folder: settings and data. */
  readonly work: string;
  readonly user: string;
}

export interface WorkerUnit {
  readonly type: 'worker';
  readonly dir: string;
  readonly work: string;
  /** null: a unit of the user's own manager (`systemctl --user`), which can neither change users nor close much off. */
  readonly user: string | null;
  /** Groups that may use the GPU, where the system has them. */
  readonly groups: readonly string[];
  /** How long jobs have to end. */
  readonly drainS: number;
}

export const GATEWAY_UNIT = 'postern.service';
export const WORKER_UNIT = 'postern-worker.service';

export const unitText = (unit: GatewayUnit | WorkerUnit): string =>
  sections(unit)
    .map(([title, lines]) => `[${title}]\n${lines.join('\n')}\n`)
    .join('\n');

type Section = readonly [title: string, lines: readonly string[]];

function sections(unit: GatewayUnit | WorkerUnit): Section[] {
  const isUserUnit = unit.type === 'worker' && unit.user === null;
  const program = `${unit.dir}/current/runtime/bin/node ${unit.dir}/current/bin/postern.mjs`;
  return [
    [
      'Unit',
      [
        `Description=Postern ${unit.type}`,
        // A user's manager does not see the units of the system.
        ...(isUserUnit ? [] : ['Wants=network-online.target', 'After=network-online.target']),
        '# However often it ends, it is started again: a machine in a cellar has nobody who would.',
        'StartLimitIntervalSec=0',
      ],
    ],
    [
      'Service',
      [
        'Type=exec',
        ...(unit.user === null ? [] : [`User=${unit.user}`, `Group=${unit.user}`]),
        `WorkingDirectory=${unit.work}`,
        ...(unit.type === 'gateway' ? gatewayProcess(program) : workerProcess(program, unit)),
        'Restart=always',
        'LimitNOFILE=65536',
        '',
        ...(isUserUnit ? ['NoNewPrivileges=yes'] : sandbox(unit)),
      ],
    ],
    ['Install', [`WantedBy=${isUserUnit ? 'default.target' : 'multi-user.target'}`]],
  ];
}

const gatewayProcess = (program: string): string[] => [
  `ExecStart=${program} supervise`,
  'RestartSec=1',
  '# It drains its instances itself when it is asked to end, and they go on serving when it dies: the next one takes them over.',
  'KillMode=process',
  'TimeoutStopSec=90',
  '# The kernel may take an instance that grew too large; the supervisor then starts it again, and the unit stays.',
  'OOMPolicy=continue',
];

const workerProcess = (program: string, { work, drainS }: WorkerUnit): string[] => [
  `ExecStart=${program} worker --ready-file ${work}/ready.json`,
  'RestartSec=2',
  '# SIGTERM drains: jobs that run are finished, nothing new is taken. Models in Python are ended with it.',
  'KillMode=mixed',
  `TimeoutStopSec=${drainS + 15}`,
];

/** What a process that listens, dials and writes into two folders does without. */
function sandbox(unit: GatewayUnit | WorkerUnit): string[] {
  const isWorker = unit.type === 'worker';
  const homes = [unit.dir, unit.work].some((folder) => /^\/(home|root)\//.test(folder));
  return [
    'NoNewPrivileges=yes',
    isWorker ? 'CapabilityBoundingSet=' : 'CapabilityBoundingSet=CAP_NET_BIND_SERVICE',
    // So that it may listen on 443 without being root.
    ...(isWorker ? [] : ['AmbientCapabilities=CAP_NET_BIND_SERVICE']),
    'ProtectSystem=strict',
    `ReadWritePaths=${[...new Set([unit.dir, unit.work])].join(' ')}`,
    `ProtectHome=${homes || isWorker ? 'read-only' : 'yes'}`,
    'PrivateTmp=yes',
    // GPUs are devices.
    ...(isWorker ? [] : ['PrivateDevices=yes']),
    ...(isWorker && unit.groups.length > 0 ? [`SupplementaryGroups=${unit.groups.join(' ')}`] : []),
    'ProtectClock=yes',
    'ProtectControlGroups=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'LockPersonality=yes',
    'RemoveIPC=yes',
    // Netlink is how a process asks for the addresses of its own machine.
    'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'SystemCallArchitectures=native',
    ...(isWorker ? [] : ['SystemCallFilter=@system-service']),
    'UMask=0077',
  ];
}
