/** Lists the gateways that one of them knows. */
import type { GatewaySummary } from '../../client/shapes.ts';
import { clientFor, type CallerOptions } from '../options.ts';
import { paint, printable, table } from '../terminal.ts';

export async function gateways(options: CallerOptions): Promise<void> {
  const list = await clientFor(options).gateways();
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(list, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    table(
      [
        { title: 'GATEWAY' },
        { title: 'RELEASE' },
        { title: 'STATE' },
        { title: 'HEARTBEAT', right: true },
        { title: 'WORKERS', right: true },
        { title: 'WORKERS DIAL' },
        { title: 'GATEWAYS DIAL' },
        { title: 'SERVES' },
      ],
      list.map(row),
    ),
  );
}

function row(gateway: GatewaySummary): string[] {
  const { id, answers, release, state, heartbeat_age_ms: ageMs } = gateway;
  return [
    `${printable(id)}${answers ? ' *' : ''}`,
    printable(release),
    paint(process.stdout, state === 'serving' ? 'green' : 'yellow', state),
    answers ? 'now' : `${(ageMs / 1_000).toFixed(1)} s ago`,
    String(gateway.sessions),
    printable(gateway.tunnel_address ?? '–'),
    printable(gateway.peer_address ?? '–'),
    gateway.models.map(({ name, version }) => printable(`${name}/${version}`)).join(', ') || '–',
  ];
}
