/**
 * The dialling end of a session with one gateway: keeps a connection to it as long as it is not stopped, turns messages into
 * {@link GatewayLinkEvents} and its owner's calls into messages. What is kept of attempts is the `Outbox`'s and the `PartSender`'s.
 *
 * State: connecting → connected → connecting …, for ever; → draining when its owner asks; → stopped. While draining it still dials, because
 * the results of what runs must arrive. A loss of the link is no loss of work: attempts go on, and the next connection begins with `resume`, the
 * unacked results, the models, and only then new credit. While it is lost, another link may deliver what ends here. A retired one dials no more.
 */
import { randomUUID } from 'node:crypto';
import type { Timer } from '../clock.ts';
import { PosternError, toPosternError } from '../errors.ts';
import type { Connection } from '../protocol/connection.ts';
import { GATEWAYS, KEEP, minLimits } from '../protocol/hello.ts';
import { DEFAULT_LIMITS, MAX_INLINE_BYTES } from '../protocol/limits.ts';
import type { Assign, Message, Welcome } from '../protocol/messages.ts';
import { createService } from '../service.ts';
import { assignmentOf, Attempts, progressOf } from './attempts.ts';
import { createBackoff } from './backoff.ts';
import { createDataConnections, type DataConnections } from './data-connections.ts';
import { createExchanges } from './exchanges.ts';
import { createGrantPace } from './grant-pace.ts';
import { watchJumps } from './jumps.ts';
import { createLeaving } from './leaving.ts';
import { createModelList } from './model-list.ts';
import { createOutbox } from './outbox.ts';
import { LINK_DEFAULTS, type GatewayLink, type GatewayLinkOptions } from './link-config.ts';
import { createAway, NOTHING_CAME_OF_IT } from './links/away.ts';
import { createHandOver } from './links/hand-over.ts';
import { keepMessage } from './links/keeping.ts';
import type { Carrier } from './links/leftovers.ts';
import { createOpener } from './opener.ts';
import { createPartSender } from './part-sender.ts';
import type { Attempt, AttemptEnd, WorkerLink } from './ports.ts';
import { createRedial } from './redial.ts';

export function createGatewayLink(options: GatewayLinkOptions): GatewayLink {
  const { clock, credentials, events, leftovers, logger, random, settings, target } = options;
  const config = { ...LINK_DEFAULTS, ...settings };
  const session = randomUUID();
  const where = `${target.host}:${target.port}`;
  const attempts = new Attempts(options.kept);
  const credit = options.openCredit(scheduleFlush);
  const carrier: Carrier = { send: sendPayload };
  const models = createModelList();
  const parts = createPartSender({ send: sendPayload });
  const away = createAway({ clock, attempts, parts });
  const outbox = createOutbox({ attempts, session, clock, spool: options.spool, send: sendPayload });
  const handOver = createHandOver({ session, outbox, leftovers, clock, logger, where, onGone: scheduleFlush });
  const exchanges = createExchanges({
    take: (model, version) => credit.take(model, version, 1),
    release: (model, version) => freed(model, version, 1, true),
    onRequest(exchange) {
      data?.want();
      events.onRequest(exchange);
    },
  });
  const grantPace = createGrantPace(clock, scheduleFlush);
  const redial = createRedial({ clock, random, connect, onGone });
  const leaving = createLeaving({
    clock,
    send: (message) => control?.send(message),
    isFree: (isConnected) => (isConnected ? options.mayLeave() : isIdle() && leftovers.pendingAt(carrier) === 0),
    leave: () => service.stop(),
  });
  const open = createOpener({ target, settings, credentials, session, clock, budget: options.budget });
  let state: WorkerLink['state'] = 'connecting';
  let epoch = 0;
  let wasConnected = false;
  let control: Connection | null = null;
  let data: DataConnections | null = null;
  let keeps = false;
  let maxOutputBytes = DEFAULT_LIMITS.maxPayloadBytes;
  let flushScheduled = false;
  /** Set while the gateway drains: `pending` until everything is done, then `told`. */
  let gatewayDrain: 'pending' | 'told' | null = null;
  let retired: { readonly promise: Promise<void>; readonly resolve: () => void } | null = null;
  let stopping = false;
  let running: Promise<void> | undefined;
  let jumps: Timer | undefined;

  function setState(to: WorkerLink['state'], error: PosternError | null): void {
    if (state === to) return;
    logger.info('link state', { from: state, to, target: where, code: error?.code, reason: error?.message });
    state = to;
    events.onState(to, error);
  }

  // ---- dialling ----------------------------------------------------------------------------------------------------

  async function connect(signal: AbortSignal): Promise<{ error: PosternError | null; connectedMs: number }> {
    epoch += 1;
    const gone = Promise.withResolvers<PosternError | null>();
    try {
      let connectedAt = 0;
      await open(
        () => ({ role: 'control', epoch, ...options.introduction() }),
        signal,
        (connection, welcome) => {
          connectedAt = clock.monotonic();
          attach(connection, welcome);
          return {
            onMessage: onControlMessage,
            onClose(error) {
              detach(error);
              gone.resolve(error);
            },
          };
        },
      );
      const error = await gone.promise;
      return { error, connectedMs: clock.monotonic() - connectedAt };
    } catch (thrown) {
      return { error: toPosternError(thrown, 'unreachable'), connectedMs: 0 };
    }
  }

  function onGone(error: PosternError | null, delayMs: number): void {
    if (!leaving.isBegun) setState('connecting', error);
    const fields = { target: where, code: error?.code, reason: error?.message, delay_ms: Math.round(delayMs) };
    // Behind a load balancer that is how the others are found.
    logger[error?.code === 'already_linked' ? 'info' : 'warn']('dialling again', fields);
  }

  function onJump(jumpMs: number): void {
    const reason = 'the clock jumped: the machine slept, or the process stood still';
    logger.warn('clock jumped', { jump_ms: Math.round(jumpMs) });
    redial.hurry();
    control?.destroy(new PosternError('connection_lost', reason));
  }

  // ---- one connection's life ---------------------------------------------------------------------------------------

  function attach(connection: Connection, welcome: Welcome): void {
    control = connection;
    gatewayDrain = null;
    keeps = welcome.features?.includes(KEEP) === true;
    maxOutputBytes = minLimits(config.limits, welcome.limits).maxPayloadBytes;
    attempts.restart();
    credit.connected(welcome.gateway, welcome.features?.includes(GATEWAYS) === true);
    parts.restart();
    // What the others had not delivered yet is among what is sent again.
    handOver.back();
    away.back();
    events.onConnected(welcome.gateway, welcome.worker);
    data = createDataConnections({
      count: config.dataConnections,
      clock,
      backoff: createBackoff(random),
      open: (signal, onReady, onGone) =>
        open(
          () => ({ role: 'data', epoch, ticket: welcome.ticket }),
          signal,
          (dataConnection) => {
            onReady(dataConnection);
            return {
              onMessage: (message, payload) => onDataMessage(dataConnection, message, payload),
              onClose: () => onGone(dataConnection),
            };
          },
        ),
      onLost(lost) {
        outbox.lost(lost);
        leftovers.lost(lost);
        parts.lost(lost);
        exchanges.lost(lost);
      },
    });
    logger.info('connected to the gateway', { gateway: welcome.gateway, worker: welcome.worker, epoch });
    // Before any credit: the gateway must know what is still held when it chooses what to send.
    if (wasConnected) connection.send({ type: 'resume', attempts: attempts.held() });
    wasConnected = true;
    outbox.resend();
    leftovers.attach(carrier);
    for (const { progress } of attempts.running()) if (progress) connection.send(progress);
    models.welcomed(welcome);
    connection.send(models.message());
    credentials.attach((message) => connection.send(message));
    if (leaving.isBegun) leaving.tell();
    else setState('connected', null);
    flush();
  }

  function detach(error: PosternError | null): void {
    credentials.detach();
    exchanges.lost(null);
    leaving.lost();
    control = null;
    credit.lost();
    parts.stop();
    leftovers.detach(carrier);
    outbox.disconnected();
    data?.close();
    data = null;
    handOver.lost();
    away.lost(error);
    events.onLost();
    scheduleFlush();
  }

  function onControlMessage(message: Message, payload: Buffer): void {
    switch (message.type) {
      case 'assign':
        onAssign(message, payload);
        return;
      case 'ack':
        for (const [job, attempt] of message.attempts) {
          if (!outbox.acked({ job, attempt })) leftovers.acked({ job, attempt });
        }
        for (const [job, attempt, seq] of message.partials ?? []) parts.acked({ job, attempt }, seq);
        scheduleFlush();
        return;
      case 'cancel':
        if (attempts.isRunning(message) || options.isElsewhere(message)) {
          events.onCancel({ job: message.job, attempt: message.attempt }, message.reason);
        } else attempts.cancelEarly(message);
        return;
      case 'renewed':
      case 'renewal_refused':
        credentials.onMessage(message);
        return;
      case 'denied':
        if (message.models.length === 0) logger.info('invited for every model that is served');
        else logger.warn('not invited for these models: no work is sent for them', { models: message.models });
        return;
      case 'withdrawn':
        credit.withdrawn(message.model, message.version, message.rows);
        return;
      case 'gateways':
        events.onGateways(message.gateways);
        return;
      case 'deploy':
        events.onDeploy(message.models);
        return;
      case 'drain':
        gatewayDrain ??= 'pending';
        credit.draining();
        logger.info('the gateway drains', { deadline_ms: message.deadlineMs, reason: message.reason });
        events.onDrain(message.deadlineMs);
        scheduleFlush();
        return;
      case 'drained':
        if (leaving.answered()) scheduleFlush();
        else breach(message);
        return;
      default:
        if (!control || !exchanges.onMessage(control, message, payload)) breach(message);
    }
  }

  function onDataMessage(via: Connection, message: Message, payload: Buffer): void {
    if (message.type === 'assign') onAssign(message, payload);
    else if (!exchanges.onMessage(via, message, payload)) breach(message);
  }

  function onAssign(message: Assign, input: Buffer): void {
    if (input.byteLength > MAX_INLINE_BYTES) data?.want();
    const { job, attempt, model, version, rows } = message;
    const begun = attempts.begin({ job, attempt, model, version, rows, progress: null });
    // Sent again because a data connection died under it; the first one arrived after all.
    if (begun === 'duplicate') return;
    if (!credit.take(model, version, rows)) {
      attempts.finish(message);
      control?.close('flow_control', `${rows} rows of ${model}@${version} were assigned beyond the granted credit`);
      return;
    }
    if (begun === 'early') {
      control?.send({ type: 'canceled', job, attempt });
      freed(model, version, rows);
      return;
    }
    events.onAssign(assignmentOf(message, input, clock.monotonic()));
  }

  function breach(message: Message): void {
    control?.close('protocol_error', `a gateway does not send ${message.type} here`);
  }

  // ---- sending -----------------------------------------------------------------------------------------------------

  /** Large payloads go by a data connection, which is then returned. */
  function sendPayload(message: Message, payload: Uint8Array | undefined): Connection | null {
    let via: Connection | null = null;
    if ((payload?.byteLength ?? 0) > MAX_INLINE_BYTES && data) {
      data.want();
      via = data.pick();
    }
    (via ?? control)?.send(message, payload);
    return via;
  }

  /** Grants and drain answers go out once for everything that one turn of the event loop brought. */
  function scheduleFlush(): void {
    if (flushScheduled) return;
    flushScheduled = true;
    process.nextTick(flush);
  }

  function flush(): void {
    flushScheduled = false;
    leaving.look(control !== null);
    if (!control) {
      if (retired && isIdle()) void service.stop().then(retired.resolve);
      return;
    }
    if (gatewayDrain === 'pending' && isIdle() && leftovers.pendingAt(carrier) === 0) {
      gatewayDrain = 'told';
      control.send({ type: 'drained' });
    }
    if (leaving.isBegun) return;
    if (gatewayDrain === null && !attempts.full) {
      for (const grant of credit.due()) control.send({ type: 'grant', ...grant });
    }
    for (const rows of credit.withdrawals()) control.send({ type: 'withdraw', ...rows });
  }

  function isIdle(): boolean {
    return attempts.runningCount === 0 && attempts.keptCount === 0 && exchanges.count === 0;
  }

  /** Rows are free again, whatever ended what took them. While the gateway has plenty, their grant may wait for others. */
  function freed(model: string, version: string, rows: number, mayWait = false): void {
    credit.release(model, version, rows);
    if (mayWait && !credit.isPressing && gatewayDrain === null && !leaving.isBegun) grantPace.later();
    else scheduleFlush();
    events.onFreed(model, version);
  }

  function end(attempt: Attempt, how: AttemptEnd): void {
    const finished = attempts.finish(attempt);
    if (!finished) return;
    parts.end(finished);
    const { job } = finished;
    freed(finished.model, finished.version, finished.rows);
    if (how.type === 'canceled' && control) {
      control.send({ type: 'canceled', job, attempt: finished.attempt });
      return;
    }
    outbox.end(finished, how.type === 'canceled' ? NOTHING_CAME_OF_IT : how, maxOutputBytes);
    if (control) return;
    handOver.try();
    outbox.disconnected();
  }

  const service = createService({
    start() {
      jumps = watchJumps(clock, onJump);
      running = redial.run();
      return Promise.resolve();
    },
    async stop() {
      stopping = true;
      jumps?.cancel();
      leaving.stop();
      grantPace.stop();
      redial.stop();
      control?.close('draining', 'the worker stops');
      await running;
      handOver.stop();
      await outbox.stop();
      credit.close();
      setState('stopped', null);
    },
  });

  return {
    ...service,
    session,
    announce(list, stored) {
      models.set(list, stored);
      control?.send(models.message());
    },
    progress(attempt, fraction, message) {
      const of = attempts.find(attempt);
      if (!of) return;
      of.progress = progressOf(attempt, fraction, message);
      control?.send(of.progress);
    },
    partial(attempt, seq, contentType, bytes) {
      return attempts.isRunning(attempt) ? parts.add(attempt, seq, contentType, bytes) : undefined;
    },
    end,
    get idle() {
      return isIdle();
    },
    get worksOn() {
      return away.worksOn;
    },
    giveBackStreams() {
      for (const { job, attempt } of away.overdue()) events.onCancel({ job, attempt }, 'drain');
    },
    heardAt: () => control?.heardAt ?? -Infinity,
    get mayKeep() {
      return control !== null && keeps && gatewayDrain === null;
    },
    held: () => (control === null ? [...attempts.held(), ...leftovers.heldOf(session)] : null),
    keep: (of, held) => void control?.send(keepMessage(of, held)),
    handOver: () => handOver.try(),
    retire() {
      if (retired) return retired.promise;
      retired = Promise.withResolvers<void>();
      redial.stop();
      scheduleFlush();
      return retired.promise;
    },
    drain(deadlineMs) {
      if (stopping) return service.stop();
      const left = leaving.begin(deadlineMs);
      setState('draining', null);
      scheduleFlush();
      return left;
    },
    get state() {
      return state;
    },
    get roundTripMs() {
      return control?.roundTripMs ?? null;
    },
  };
}
