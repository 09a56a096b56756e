/** What is not pure, as numbers. Each says where it comes from; one that was not measured says so. */

export const COSTS = {
  /** CPU of a gateway for one whole TLS handshake (bench/results/handshakes.json). */
  handshakeMs: 0.37,
  /** CPU of a gateway for one short message, in or out: half of an echo of 1 KiB over TLS (139,000/s on two cores: design, section 3). */
  messageMs: 0.007,
  /** CPU of a gateway for one HTTP request with its job (bench/README.md, "Under the supervisor": 171 to 178 µs), less its messages. */
  requestMs: 0.15,
  /** Memory of a gateway for one idle session, KiB (bench/results/sessions.json). */
  sessionKiB: 102,
  /** For each data connection of it: of 92 KiB of a session 79 are TLS and socket (docs/architecture/sessions.md). */
  dataConnectionKiB: 79,
  /** One way between a gateway and the database: same region, not measured. */
  databaseOneWayMs: 0.25,
  /** Until a commit is on the disk: an SSD's flush, shared by whoever commits meanwhile; not measured. */
  flushMs: 1.5,
  /**
   * The server's CPU. For a job in a batch: 25 (submit, claim) and 28 µs (settle) are of the statements before migration step 0005; since then they
   * are 14, 17 and 20 (docs/scaling.md, "What it costs"). Kept as they are, because the recorded runs rest on them. What a statement costs beside its
   * rows: bench/results/statements.json (an empty claim, a heartbeat, counts, a sweep); not measured, and taken as an empty claim: submit, settle,
   * release, reconcile; assumed: notify, member.
   */
  statement: {
    submit: { fixedMs: 0.57, rowMs: 0.025 },
    claim: { fixedMs: 0.57, rowMs: 0.025 },
    settle: { fixedMs: 0.57, rowMs: 0.028 },
    heartbeat: { fixedMs: 0.89, rowMs: 0.0025 },
    release: { fixedMs: 0.57, rowMs: 0.028 },
    reconcile: { fixedMs: 0.57, rowMs: 0.01 },
    sweep: { fixedMs: 3.2, rowMs: 0.028 },
    counts: { fixedMs: 0.135, rowMs: 0.001 },
    notify: { fixedMs: 0.1, rowMs: 0.002 },
    member: { fixedMs: 0.2, rowMs: 0.001 },
  },
} as const;

export type StatementKind = keyof typeof COSTS.statement;

/** Sizes on the wire, bytes, with TLS's record: for the cost of lists and heartbeats. Inputs and outputs are not counted. */
export const MESSAGE_BYTES = {
  ping: 60,
  grant: 100,
  /** Of a list of gateways, for each. */
  gateway: 80,
} as const;
