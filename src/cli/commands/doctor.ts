/** `postern doctor`: is the link good, and if not, what to do. */
import type { Command } from 'commander';
import { gatewayOption, jsonOption, keyFileOption, type CallerOptions } from '../options.ts';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check the link: name, TCP, TLS, certificates, round trip, throughput, and a job through a worker')
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
On the worker's machine it checks the tunnel (TARGET_HOST, TARGET_PORT, POSTERN_IDENTITY_DIR). It checks the HTTP API as
well when --gateway or POSTERN_URL names it, or when the target is this machine.

Examples:
  TARGET_HOST=gateway.example.org postern doctor
  postern doctor --gateway http://127.0.0.1:8080 --json

Exit codes: 0 nothing failed (warnings are allowed), 1 something failed, 2 the command or the settings were wrong.`,
    )
    .action(async (flags: CallerOptions) => {
      process.exitCode = await (await import('../run/doctor.ts')).examine(flags);
    });
}
