// Preloaded into each test file by scripts/test.mjs. SIGQUIT asks: why do you not end? The answer names what holds the process.
process.on('SIGQUIT', () => {
  const named = process._getActiveHandles().map((handle) => {
    const { spawnargs, pid, localPort, remotePort, fd } = handle;
    return `${handle.constructor.name} ${JSON.stringify({ spawnargs, pid, localPort, remotePort, fd })}`;
  });
  console.error(`${process.argv[1]} is held by ${process.getActiveResourcesInfo().join(', ')}\n${named.join('\n')}`);
});
