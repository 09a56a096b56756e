/**
 * The whole chain in real processes, a gateway and two workers, killed again and again while callers submit: at random moments,
 * at named points (`points.ts`), and when they are about to make a system call. Some are stopped for longer than a lease and
 * then go on. Every prediction that was answered with an id must be decided in the end, once, and with its own output.
 */
import { join } from 'node:path';
import { PosternSystem, untilModel, type Gateway, type Process } from '../support/postern.ts';
import { needsProgram } from '../support/needs.ts';
import { createChainCallers } from './chain-callers.ts';
import { createEndings, launchFor, nameOf, type Ending, type Endings } from './endings.ts';
import { inspect } from './inspect.ts';

export interface ChainOptions {
  readonly kills: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly callers: number;
  /** How often a process is stopped for longer than a lease. Costs 21 s each. */
  readonly stops?: number;
  /** Between two kills so many predictions are accepted, on average. */
  readonly acceptedPerKill?: number;
  /** The kills end then, however many there were: a result is kept for an hour, and all are read once more. */
  readonly maxMinutes?: number;
  readonly onKill?: (kill: number, accepted: number) => void;
}

export interface ChainResult {
  readonly kills: number;
  /** By the point at which a process died. */
  readonly killedAt: Readonly<Record<string, number>>;
  readonly stops: number;
  readonly accepted: number;
  readonly succeeded: number;
  /** Every attempt was interrupted by a kill: decided, though not as the caller hoped. */
  readonly exhausted: number;
  /** Keys that were sent once more at the end, and named the same prediction. */
  readonly keysAskedAgain: number;
  readonly problems: string[];
}

/** One of the processes, and how it will end. */
interface Member {
  readonly name: string;
  readonly process: Process;
  readonly ending: Ending;
  readonly startedAt: number;
}

/** Silence is noticed after 15 s, a lease is 18 s, a sweep comes every second. */
const STOPPED_MS = 21_000;
/** Without callers getting through nothing is tried; a gateway that is restarted and a worker that dials need some of it. */
const PATIENCE_MS = 4_000;
/** A point that was not reached by then will not be. */
const OVERDUE_MS = 4_000;
const WORKERS = ['gpu-1', 'gpu-2'] as const;

export async function chain(options: ChainOptions): Promise<ChainResult> {
  const { kills, random, callers: callerCount, stops = 0, acceptedPerKill = 100, maxMinutes = 50, onKill } = options;
  const system = new PosternSystem({ env: { POSTERN_STORE: 'sqlite', POSTERN_LOG_LEVEL: 'warn' } });
  const logPath = join(system.folder, 'gateway', 'jobs.sqlite-wal');
  const endings = createEndings({ random, logPath, hasStrace: needsProgram('strace') === false });
  try {
    const crew = await Crew.start(system, endings);
    const callers = createChainCallers(() => crew.url);
    await untilModel(crew.url, 'echo');
    callers.start(callerCount);
    let stopped = 0;
    const until = performance.now() + maxMinutes * 60_000;
    while (crew.kills < kills && performance.now() < until) {
      const goal = callers.accepted + random() * 2 * acceptedPerKill;
      await crew.untilDeathOr(() => callers.accepted >= goal);
      if (!crew.anyDead) await crew.killSome(random);
      await crew.replaceDead();
      onKill?.(crew.kills, callers.accepted);
      if (stopped * kills < crew.kills * stops) {
        await crew.stopOne(stopped % 2 === 0 ? 'worker' : 'gateway');
        stopped += 1;
      }
    }
    await callers.stop();
    await crew.endKills();
    const { succeeded, exhausted, keysAskedAgain } = await callers.finish();
    await crew.gateway.stop();
    const problems = [...callers.problems, ...crew.problems, ...inspect(join(system.folder, 'gateway', 'jobs.sqlite'))];
    const { killedAt } = crew;
    return {
      kills: crew.kills,
      killedAt,
      stops,
      accepted: callers.accepted,
      succeeded,
      exhausted,
      keysAskedAgain,
      problems,
    };
  } finally {
    await system.remove();
  }
}

/** The processes: who lives, who died of what, and who takes their place. */
class Crew {
  readonly killedAt: Record<string, number> = {};
  readonly problems: string[] = [];
  readonly #system: PosternSystem;
  readonly #endings: Endings;
  readonly #identities: ReadonlyMap<string, string>;
  #gateway!: Gateway;
  #members = new Map<string, Member>();

  static async start(system: PosternSystem, endings: Endings): Promise<Crew> {
    const crew = new Crew(system, endings, await system.gateway());
    for (const name of WORKERS) crew.#startWorker(name, { type: 'moment' });
    return crew;
  }

  private constructor(system: PosternSystem, endings: Endings, gateway: Gateway) {
    this.#system = system;
    this.#endings = endings;
    this.#identities = new Map(WORKERS.map((name) => [name, system.issue(name)]));
    this.#setGateway(gateway, { type: 'moment' });
  }

  get url(): string {
    return this.#gateway.url;
  }

  get gateway(): Gateway {
    return this.#gateway;
  }

  get kills(): number {
    return Object.values(this.killedAt).reduce((sum, count) => sum + count, 0);
  }

  get anyDead(): boolean {
    return this.#dead().length > 0;
  }

  /** Resolves when a process is gone, `isEnough` says so, or nothing comes of it. */
  async untilDeathOr(isEnough: () => boolean): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    while (!this.anyDead && !isEnough() && performance.now() < until) await pause(10);
  }

  /** SIGKILL from outside, for those that wait for it, or whose own end does not come; at times two at once. */
  async killSome(random: () => number): Promise<void> {
    const due = [...this.#members.values()].filter(
      ({ ending, startedAt }) => ending.type === 'moment' || performance.now() - startedAt > OVERDUE_MS,
    );
    const first = due[Math.floor(random() * due.length)];
    for (const member of due) {
      if (member !== first && random() < 0.4) continue;
      await member.process.kill();
      this.#members.set(member.name, { ...member, ending: { type: 'moment' } });
    }
  }

  async replaceDead(): Promise<void> {
    for (const member of this.#dead()) {
      // The one before it in this list may have brought its successor with it.
      if (this.#members.get(member.name) !== member) continue;
      const { exitCode } = member.process.child;
      const at = nameOf(member.ending);
      if (exitCode === null) this.killedAt[at] = (this.killedAt[at] ?? 0) + 1;
      else this.problems.push(`${member.name} ended by itself with ${exitCode}: ${member.process.log().slice(-1_000)}`);
      if (member.name === 'gateway') {
        await this.#restartGateway();
        // Its workers dial again after waits that grow: a new one is there at once, and keeps the callers busy.
        const [name] = WORKERS;
        await this.#members.get(name)!.process.kill();
        this.#startWorker(name, this.#endings.worker());
      } else this.#startWorker(member.name, this.#endings.worker());
    }
  }

  /** SIGSTOP for longer than a lease, then SIGCONT: what it says afterwards is late, and must be harmless. */
  async stopOne(which: 'gateway' | 'worker'): Promise<void> {
    const name = which === 'gateway' ? which : WORKERS[0];
    // A traced process does not stop alone; and its own end must not come meanwhile.
    await this.#members.get(name)!.process.kill();
    if (which === 'gateway') this.#setGateway(await this.#system.gateway(this.#gateway), { type: 'moment' });
    else this.#startWorker(name, { type: 'moment' });
    await this.allWell();
    const { pid } = this.#members.get(name)!.process;
    process.kill(pid, 'SIGSTOP');
    await pause(STOPPED_MS);
    process.kill(pid, 'SIGCONT');
    await this.replaceDead();
    await this.allWell();
  }

  /** Whoever still carries its end in it is replaced by one that lives on. */
  async endKills(): Promise<void> {
    for (const { name, process, ending } of [...this.#members.values()]) {
      const isDead = process.child.exitCode !== null || process.child.signalCode !== null;
      if (ending.type === 'moment' && !isDead) continue;
      await process.kill();
      if (name !== 'gateway') this.#startWorker(name, { type: 'moment' });
      else this.#setGateway(await this.#system.gateway(this.#gateway), { type: 'moment' });
    }
    await this.allWell();
  }

  /** Everybody is there, and somebody serves. */
  async allWell(): Promise<void> {
    for (;;) {
      await this.replaceDead();
      const ready = untilModel(this.url, 'echo').then(() => true);
      if (await Promise.race([ready, this.#gateway.ended.then(() => false)])) return;
    }
  }

  #dead(): Member[] {
    return [...this.#members.values()].filter(
      ({ process: { child } }) => child.exitCode !== null || child.signalCode !== null,
    );
  }

  /** The next gateway may reach its end while it starts, which is not counted; then the one after it does not. */
  async #restartGateway(): Promise<void> {
    const ending = this.#endings.gateway();
    try {
      this.#setGateway(await this.#system.gateway(this.#gateway, launchFor(ending)), ending);
    } catch {
      this.#setGateway(await this.#system.gateway(this.#gateway), { type: 'moment' });
    }
  }

  #setGateway(gateway: Gateway, ending: Ending): void {
    this.#gateway = gateway;
    this.#members.set('gateway', { name: 'gateway', process: gateway, ending, startedAt: performance.now() });
  }

  #startWorker(name: string, ending: Ending): void {
    const started = this.#system.worker(this.#gateway, this.#identities.get(name)!, {}, launchFor(ending));
    this.#members.set(name, { name, process: started, ending, startedAt: performance.now() });
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
