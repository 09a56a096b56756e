/** The CDK app. `-c config=<file>` names another configuration than postern.config.json. */
import { readFileSync } from 'node:fs';
import { App } from 'aws-cdk-lib';
import { ConfigProblem, parseConfig } from '../lib/config.ts';
import { createStacks } from '../lib/stacks.ts';

const app = new App();
const file = String(app.node.tryGetContext('config') ?? 'postern.config.json');
try {
  createStacks(app, parseConfig(JSON.parse(readFileSync(file, 'utf8'))));
} catch (error) {
  if (error instanceof ConfigProblem) fail(error.message);
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
    fail(`${file}: there is no such file. Copy postern.config.example.json to postern.config.json and fill it in.`);
  }
  if (error instanceof SyntaxError) fail(`${file} is not JSON: ${error.message}`);
  throw error;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
