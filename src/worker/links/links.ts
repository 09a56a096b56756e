/**
 * The links of a worker to all gateways of a cluster, as one {@link WorkerLink}. Owner of: which links there are, and which of them
 * brought which attempt. It begins with the gateways that it was told of in the settings; they tell it of the others. One gateway that knows
 * of no other is the usual case, and costs an attempt no more than to look up its link.
 *
 * A link is dialling ⇄ connected; one that is dialling and no longer wanted is retired: it stays until what it brought has ended
 * and was handed over to another link, and then stops.
 */
import type { Timer } from '../../clock.ts';
import { createPayloadMemory } from '../../payload-memory.ts';
import { createByteBudget, DEFAULT_BUDGET_BYTES } from '../../protocol/budget.ts';
import { MAX_GATEWAYS } from '../../protocol/limits.ts';
import type { ModelReport, StoredVersion, WantedVersions } from '../../protocol/messages.ts';
import { createService } from '../../service.ts';
import { KeptTotals } from '../attempts.ts';
import { createGatewayLink } from '../link.ts';
import type { GatewayLink, GatewayLinkEvents, GatewayLinkOptions, LinkSettings } from '../link-config.ts';
import type { Attempt, LinkEvents, WorkerLink } from '../ports.ts';
import { isAway, planKeep } from './keeping.ts';
import { createLeftovers } from './leftovers.ts';
import { createCreditPool } from './pool.ts';
import { shareCredentials } from './renewals.ts';
import { namesInHello, planDials } from './roster.ts';
import type { GatewayList } from './roster.ts';
import { mergeWishes } from './wishes.ts';
import type { Target } from '../targets.ts';

/** Earlier sessions that a hello names. */
const MAX_PREVIOUS = 8;
/** Often enough for a lease (18 s) to outlive one word that is lost. */
const KEEP_MS = 3_000;
/** Credit that a gateway could not give back is asked for again, and links that wait are looked at. */
const REVIEW_MS = 1_000;

export interface WorkerLinksOptions extends Pick<
  GatewayLinkOptions,
  'credentials' | 'logger' | 'clock' | 'random' | 'spool'
> {
  /** The gateways to begin with, each once. */
  readonly targets: readonly Target[];
  readonly settings?: LinkSettings;
  readonly events: LinkEvents;
}

interface Member {
  readonly link: GatewayLink;
  readonly target: Target;
  /** null: it dials. */
  gateway: string | null;
  /** null: its gateway has told of no other. */
  list: GatewayList | null;
  /** Its latest word on versions. */
  wishes: readonly WantedVersions[] | null;
  retired: boolean;
}

export function createWorkerLinks(options: WorkerLinksOptions): WorkerLink {
  const { clock, events, logger, random, spool, targets } = options;
  const settings = options.settings ?? {};
  const members = new Set<Member>();
  const owners = new Map<string, GatewayLink>();
  const kept = new KeptTotals(() => pool.wakeAll());
  const budget = createByteBudget(DEFAULT_BUDGET_BYTES, createPayloadMemory().grew);
  const leftovers = createLeftovers({ spool, clock, kept, onEmpty: () => pool.wakeAll() });
  const credentialsOfLink = shareCredentials(options.credentials);
  let worker = '';
  const pool = createCreditPool({ worker: () => worker });
  let models: readonly ModelReport[] = [];
  let stored: readonly StoredVersion[] = [];
  let state: WorkerLink['state'] = 'connecting';
  let wished = '';
  let isPlanned = false;
  let isLeaving = false;
  let drained: Promise<void> | undefined;

  // ---- which links there are ---------------------------------------------------------------------------------------

  function open(target: Target): GatewayLink {
    const link: GatewayLink = createGatewayLink({
      target,
      settings,
      credentials: credentialsOfLink(),
      events: eventsOf(() => member),
      openCredit: (wake) => pool.open(wake),
      leftovers,
      introduction: () => introduction(member),
      mayLeave,
      isElsewhere: (attempt) => owners.has(keyOf(attempt)),
      logger,
      clock,
      random,
      budget,
      kept,
      spool,
    });
    const member: Member = { link, target, gateway: null, list: null, wishes: null, retired: false };
    members.add(member);
    link.announce(models, stored);
    void link.start();
    return link;
  }

  function introduction(self: Member): { previous: string[]; linked: string[] } {
    const previous = [...leftovers.previous()];
    const linked: string[] = [];
    for (const { link, gateway } of members) {
      if (link === self.link) continue;
      // What it brought goes on: a gateway that knows its session is not to take that for lost.
      if (gateway === null && !link.idle) previous.push(link.session);
      if (gateway !== null) linked.push(gateway);
    }
    return { previous: previous.slice(-MAX_PREVIOUS), linked: namesInHello(linked) };
  }

  /** Once for all that one turn of the event loop brings. */
  function plan(): void {
    if (isPlanned || isLeaving) return;
    isPlanned = true;
    process.nextTick(carryOut);
  }

  function carryOut(): void {
    isPlanned = false;
    if (isLeaving) return;
    const { open: wanted, close } = planDials(
      targets,
      [...members].filter(({ retired }) => !retired),
    );
    for (const member of close) retire(member);
    for (const target of wanted) {
      if (members.size >= 2 * MAX_GATEWAYS) return;
      logger.info('dialling another gateway', { target: `${target.host}:${target.port}` });
      open(target);
    }
  }

  function retire(member: Member): void {
    member.retired = true;
    logger.info('a gateway is dialled no more', { target: `${member.target.host}:${member.target.port}` });
    void member.link.retire().then(() => members.delete(member));
  }

  function review(): void {
    pool.review();
    plan();
  }

  /** What runs for gateways that are out of reach goes on: others keep its leases meanwhile. */
  function keepAway(): void {
    const links = [...members].map(({ link }) => link);
    const { away, keepers } = planKeep(links, clock.monotonic());
    if (keepers.length === 0) return;
    for (const link of links) link.giveBackStreams();
    for (const other of away) for (const link of keepers) link.keep(other.session, other.held());
  }

  /** A gateway that is away may come back no more: what ended for it is delivered first, or what runs for it will be. */
  function mayLeave(): boolean {
    if (!leftovers.isEmpty) return false;
    for (const { link, gateway } of members) if (gateway === null && !link.idle) return false;
    return true;
  }

  /** Another link came back or is gone, and those that drain may have waited for that. */
  function wakeLeaving(): void {
    if (isLeaving) pool.wakeAll();
  }

  // ---- what links tell ---------------------------------------------------------------------------------------------

  function eventsOf(self: () => Member): GatewayLinkEvents {
    return {
      onAssign(assignment) {
        owners.set(keyOf(assignment), self().link);
        events.onAssign(assignment);
      },
      onCancel: (attempt, reason) => events.onCancel(attempt, reason),
      onRequest: (request) => events.onRequest(request),
      onFreed: (model, version) => events.onFreed(model, version),
      onDrain: (deadlineMs) => events.onDrain(deadlineMs),
      onDeploy(list) {
        self().wishes = list;
        deploy();
      },
      onConnected(gateway, name) {
        self().gateway = gateway;
        worker = name;
        for (const { link } of members) link.handOver();
        wakeLeaving();
        plan();
      },
      onLost() {
        self().gateway = null;
        self().list = null;
        // What it wanted then is not what it wants when it is back, until it has said it.
        self().wishes = null;
        keepAway();
        plan();
      },
      onGateways(list) {
        self().list = list;
        plan();
      },
      onState(_, error) {
        wakeLeaving();
        const now = stateOfAll();
        if (now === state) return;
        state = now;
        events.onState(now, error);
      },
    };
  }

  /** Of those that are connected: one that was lost may not know what was decided since. */
  function deploy(): void {
    const lists = [...members].flatMap(({ gateway, wishes }) => (gateway === null || wishes === null ? [] : [wishes]));
    const wishes = mergeWishes(lists);
    const text = JSON.stringify(wishes);
    if (text === wished) return;
    wished = text;
    events.onDeploy(wishes);
  }

  function stateOfAll(): WorkerLink['state'] {
    const states = new Set([...members].filter(({ retired }) => !retired).map(({ link }) => link.state));
    for (const one of ['connected', 'draining', 'connecting'] as const) if (states.has(one)) return one;
    return 'stopped';
  }

  const service = createService({
    async start() {
      await leftovers.open();
      for (const target of targets) open(target);
      reviewing = clock.every(REVIEW_MS, review);
      keeping = clock.every(KEEP_MS, keepAway);
    },
    async stop() {
      isLeaving = true;
      reviewing?.cancel();
      keeping?.cancel();
      await Promise.all([...members].map(({ link }) => link.stop()));
      await leftovers.stop();
    },
  });
  let reviewing: Timer | undefined;
  let keeping: Timer | undefined;

  return {
    ...service,
    announce(list, unloaded = []) {
      models = list;
      stored = unloaded;
      for (const { link } of members) link.announce(models, stored);
    },
    setCapacity(model, version, rows) {
      const report = models.find((each) => each.name === model && each.version === version);
      // Only what takes tensors has jobs of several rows.
      pool.setCapacity(model, version, rows, report?.inputs === undefined ? 1 : report.maxRows);
    },
    busyRows: (model, version) => pool.busyRows(model, version),
    progress: (attempt, fraction, message) => owners.get(keyOf(attempt))?.progress(attempt, fraction, message),
    partial: (attempt, seq, contentType, bytes) =>
      owners.get(keyOf(attempt))?.partial(attempt, seq, contentType, bytes),
    end(attempt, how) {
      const key = keyOf(attempt);
      const link = owners.get(key);
      owners.delete(key);
      link?.end(attempt, how);
      // It may have been what kept the others from going on without their gateway.
      if (link !== undefined && isAway(link, clock.monotonic())) keepAway();
    },
    drain(deadlineMs) {
      if (drained !== undefined) return drained;
      isLeaving = true;
      drained = Promise.all([...members].map(({ link }) => link.drain(deadlineMs))).then(() => service.stop());
      return drained;
    },
    get state() {
      return state;
    },
    get roundTripMs() {
      const known = [...members].flatMap(({ link }) => link.roundTripMs ?? []);
      return known.length === 0 ? null : Math.min(...known);
    },
  };
}

const keyOf = ({ job, attempt }: Attempt): string => `${job}/${attempt}`;
