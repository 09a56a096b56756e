/** The other gateways, as the HTTP service asks for them. */
import type { ClientRequest } from 'node:http';
import type { Room } from '../room.ts';

/** A gateway of this installation that takes what this one cannot serve. */
export interface Peer {
  readonly id: string;
  /** false: it has as many requests of this gateway as there may be, and one more would wait for the end of another. */
  readonly hasRoom: boolean;
  /** Over mutual TLS, on a connection that may have carried others. `model`: whose rows it will take there. */
  request(model: string, options: PeerRequest): ClientRequest;
}

export interface PeerRequest {
  readonly method: string;
  readonly path: string;
  /** Names and values in turn, the framing of the body included. */
  readonly headers: readonly string[];
}

export interface Peers {
  /**
   * Who is asked instead of this gateway's own workers, the one with the most free rows first: nobody while these are free; while they
   * are only busy, whoever has rows; else whoever serves it.
   */
  choose(model: string, version: string | null, room: Room): readonly Peer[];
  /** Who may run a job of this model, the likeliest first. */
  holders(model: string): readonly Peer[];
}
