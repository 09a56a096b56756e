/**
 * The supervisor: which instance serves, which one is warm, and what happens when one ends. Owner of the
 * order of all changes: one at a time, commands and recoveries alike.
 *
 * It never accepts a connection of a caller or a worker, and imports nothing of the gateway, so there is little in it that could fail.
 * If it is killed all the same, instances go on, and report to the next one.
 */
import { sleep, type Timer } from '../clock.ts';
import { PosternError, toPosternError } from '../errors.ts';
import { createService, type Service } from '../service.ts';
import { appendAct, type Act } from './audit.ts';
import { createControlServer, type Command, type Tell } from './control-server.ts';
import { createFleet, type Fleet } from './fleet.ts';
import { checkLock, readLock } from './lock.ts';
import { createRecovery } from './recovery.ts';
import { createServing } from './serving.ts';
import { holdSupervisorLock } from './supervisor-lock.ts';
import { ADOPT_MS, type SupervisorOptions } from './supervisor-options.ts';
import { createSwitch } from './switch.ts';

export interface Supervisor extends Service {
  /** Resolves when somebody asked by the control socket that it stops. */
  readonly asked: Promise<void>;
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { layout, front, clock, logger } = options;
  const asked = Promise.withResolvers<void>();
  let isStopping = false;
  let isSwitching = false;
  let work: Promise<unknown> = Promise.resolve();
  let leaveLock: (() => void) | null = null;
  let timers: Timer[] = [];

  const serving = createServing(options, () => fleet);
  const fleet: Fleet = createFleet({
    ...options,
    maintenance: () => serving.state.maintenance,
    onExit: (instance) => recovery.onExit(instance),
  });
  const recovery = createRecovery({
    layout,
    clock,
    logger,
    serving,
    fleet,
    inTurn,
    isStopping: () => isStopping,
    note: (release) => note({ actor: 'supervisor', action: 'recover', release, outcome: 'begun' }),
  });
  const { switchTo, pruneNow } = createSwitch(options, serving, fleet);
  const control = createControlServer({
    path: layout.controlSocket,
    logger,
    onCommand,
    onReport: (report, socket) => fleet.onReport(report, socket),
  });

  /** After everything that was begun before. */
  function inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = work.then(step);
    work = result.catch(() => undefined);
    return result;
  }

  async function note(act: Omit<Act, 'at'>): Promise<void> {
    try {
      await appendAct(layout.audit, { at: new Date(clock.now()).toISOString(), ...act });
    } catch (error) {
      logger.error('the audit log could not be written', { action: act.action, error });
    }
  }

  // ---- commands ----------------------------------------------------------------------------------------------------

  async function onCommand(command: Command, tell: Tell): Promise<object> {
    const text = (key: string): string | null => (typeof command[key] === 'string' ? command[key] : null);
    const actor = text('actor')?.slice(0, 200) ?? 'unknown';
    switch (command.command) {
      case 'status':
        return await status();
      case 'switch':
        return await change(actor, text('lock'), 'switch', () => Promise.resolve(text('release') ?? ''), tell);
      case 'rollback':
        return await change(actor, text('lock'), 'rollback', () => rollbackTarget(text('release')), tell);
      case 'maintenance': {
        const words =
          command.on === true ? (text('text') ?? 'The gateway is closed for maintenance.').slice(0, 1_000) : null;
        return await inTurn(async () => {
          await serving.save({ maintenance: words });
          for (const instance of fleet.all) instance.send({ command: 'maintenance', text: words });
          await note({ actor, action: `maintenance.${words === null ? 'off' : 'on'}`, release: null, outcome: 'done' });
          return { maintenance: words };
        });
      }
      case 'prune':
        return { removed: await inTurn(pruneNow) };
      case 'stop':
        await note({ actor, action: 'supervisor.stop', release: null, outcome: 'begun' });
        asked.resolve();
        return {};
      default:
        throw new PosternError('bad_request', `There is no command "${command.command.slice(0, 100)}".`);
    }
  }

  async function status(): Promise<object> {
    const { current, previous, maintenance, releases } = serving.state;
    return {
      pid: process.pid,
      current,
      previous,
      active: serving.active?.name ?? null,
      warm: serving.warm?.name ?? null,
      switching: isSwitching,
      maintenance,
      lock: await readLock(layout.lock, clock.now()),
      front: front.url,
      tunnel: `${options.tunnel.host}:${options.tunnel.port}`,
      releases,
      instances: fleet.all.map((instance) => ({
        instance: instance.name,
        release: instance.release,
        pid: instance.pid,
        phase: instance.phase,
        connections: instance.report?.connections ?? null,
      })),
    };
  }

  /** The previous healthy one, unless somebody names another. */
  function rollbackTarget(named: string | null): Promise<string> {
    const target = named ?? serving.state.previous;
    if (target !== null) return Promise.resolve(target);
    return Promise.reject(
      new PosternError('release_invalid', 'There is no release before this one: name one of postern releases.'),
    );
  }

  async function change(
    actor: string,
    owner: string | null,
    action: 'switch' | 'rollback',
    choose: () => Promise<string>,
    tell: Tell,
  ): Promise<object> {
    await checkLock(layout.lock, owner, clock.now());
    if (isSwitching) throw new PosternError('deploy_locked', 'A switch is under way: wait for its end.');
    isSwitching = true;
    const startedAt = clock.monotonic();
    let release: string | null = null;
    try {
      release = await choose();
      await note({ actor, action, release, outcome: 'begun' });
      const target = release;
      await inTurn(() => switchTo(target, action === 'rollback', tell));
      await note({ actor, action, release, outcome: 'done' });
      void inTurn(pruneNow).catch((error: unknown) => logger.error('releases could not be pruned', { error }));
      return { release, instance: serving.active?.name ?? null, took_ms: Math.round(clock.monotonic() - startedAt) };
    } catch (thrown) {
      const error = toPosternError(thrown);
      const serves = serving.state.current === null ? 'Nothing serves.' : `${serving.state.current} serves, as before.`;
      await note({ actor, action, release, outcome: 'failed', reason: error.message.slice(0, 1_000) });
      throw new PosternError(error.code, `${error.message}\n${serves}`, { cause: error });
    } finally {
      isSwitching = false;
    }
  }

  // ---- begin and end -----------------------------------------------------------------------------------------------

  /** Instances that an earlier supervisor left: the one that served goes on, the others go. */
  async function adopt(): Promise<void> {
    const orphans = fleet.orphans();
    const until = clock.monotonic() + ADOPT_MS;
    const isMissing = (): boolean => [...orphans.keys()].some((name) => !fleet.all.some((one) => one.name === name));
    while (isMissing() && clock.monotonic() < until) await sleep(clock, 50);
    for (const [name, pid] of orphans) {
      if (fleet.all.some((one) => one.name === name)) continue;
      logger.warn('an instance of an earlier supervisor does not report and is ended', { instance: name, pid });
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone meanwhile.
      }
    }
    const accepting = fleet.all.filter(({ phase }) => phase === 'active');
    const { active: name, current } = serving.state;
    const kept = accepting.find((one) => one.name === name) ?? accepting.find(({ release }) => release === current);
    for (const instance of fleet.all) {
      serving.markFound(instance);
      if (instance === kept) continue;
      if (instance.phase === 'active') {
        instance.send({ command: 'leave', deadline_ms: options.drainMs, for_good: true });
      }
      serving.retire(instance);
    }
    if (kept !== undefined) await serving.keep(kept);
  }

  async function begin(): Promise<void> {
    const { switch: interrupted, current } = serving.state;
    if (interrupted !== null) {
      logger.warn('a switch was interrupted; what served goes on', { to: interrupted.to, serving: current });
      await serving.save({ switch: null });
    }
    await adopt();
    if (serving.active !== null || current === null) return;
    await recovery.revive(current, 'it did not start').catch((error: unknown) => recovery.later(current, error));
  }

  const service = createService({
    async start() {
      leaveLock = holdSupervisorLock(layout.supervisorLock);
      await serving.load();
      await control.start();
      timers = [recovery.watchActive(), clock.every(60_000, () => void fleet.shortenLogs().catch(() => undefined))];
      void inTurn(begin).catch((error: unknown) => logger.error('nothing could be started', { error }));
    },
    async stop() {
      isStopping = true;
      for (const timer of timers) timer.cancel();
      serving.stopSoak();
      for (const instance of fleet.all) {
        instance.isExpectedToEnd = true;
        instance.send({ command: 'stop', deadline_ms: options.drainMs });
        const force = clock.after(options.drainMs + 10_000, () => instance.kill('SIGKILL'));
        void instance.exited.then(() => force.cancel());
      }
      await Promise.all(fleet.all.map((instance) => instance.exited));
      await control.stop();
      front.close();
      options.tunnel.close();
      leaveLock?.();
    },
  });
  return { ...service, asked: asked.promise };
}
