-- Gateways that live: one row for each process that serves, renewed by it, and believed for as long as its last beat is young. Times
-- are epoch ms of the database's clock.
CREATE TABLE postern.member (
  id             text COLLATE "C" PRIMARY KEY,
  release        text   NOT NULL,
  state          text   NOT NULL CHECK (state IN ('serving', 'draining')),
  tunnel_address text,                             -- host:port that leads to this one, for workers; NULL: nobody was told of one
  peer_address   text,                             -- host:port, for other gateways
  summary        text   NOT NULL,                  -- JSON: what is served there
  joined_at      bigint NOT NULL,
  beat_at        bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
