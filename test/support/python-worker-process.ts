/** A worker process with one model in Python, for tests that kill it: `python-worker-process.ts <python> <code>`. */
import { startPythonWorker } from './python-models.ts';

const [python = '', code = ''] = process.argv.slice(2);
const worker = await startPythonWorker(python, { model: { code } });
void worker.ask('model', 'hang');
const line = await worker.log.find(({ fields }) => String(fields.line).startsWith('pids ') && count() === 2);
process.stdout.write(`${String(line.fields.line)} hanging\n`);
setInterval(() => undefined, 60_000);

/** The warm-up says them, and so does the call that then hangs. */
function count(): number {
  return worker.log.entries.filter(({ fields }) => String(fields.line).startsWith('pids ')).length;
}
