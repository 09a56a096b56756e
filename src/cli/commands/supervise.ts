/** `postern supervise`: keeps a release of the gateway serving, and replaces it without a failed request. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { SuperviseFlags } from '../run/supervise.ts';

export function addSupervise(program: Command): void {
  program
    .command('supervise')
    .description('serve the current release of POSTERN_DEPLOY_DIR, and move callers to another one when asked')
    .option('--ready-file <path>', 'write the addresses to this file, as JSON, when the sockets are bound')
    .addOption(jsonOption('print the addresses as one JSON line when the sockets are bound'))
    .option('--nginx-config <server-name>', 'print a configuration for nginx in front of it, and end')
    .option('--certificate <path>', 'with --nginx-config: the certificate chain; default: that of certbot')
    .option('--certificate-key <path>', 'with --nginx-config: its key')
    .option('--print-unit [user]', 'print the systemd unit that runs it as this user (postern) in this folder, and end')
    .addHelpText(
      'after',
      `
It holds the HTTP and the tunnel socket and starts each release as a process of its own. Killed, it leaves what serves
running, and finds it again when it is started. SIGTERM drains everything.

Examples:
  postern supervise
  POSTERN_DEPLOY_DIR=/opt/postern postern supervise
  postern supervise --print-unit > /etc/systemd/system/postern.service
  postern supervise --nginx-config api.example.org > /etc/nginx/conf.d/postern.conf
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: SuperviseFlags) => (await import('../run/supervise.ts')).supervise(flags));
}
