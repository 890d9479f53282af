CREATE SCHEMA daybook;
COMMENT ON SCHEMA daybook IS 'The log of a Daybook shop: append-only. Only daybook serve and daybook-replay import write here.';

-- The columns that postgres-es 0.5 reads have its names and types. payload and metadata are json, not jsonb: json keeps the
-- text byte for byte, and the digest is over bytes. Keys compare by bytes (COLLATE "C"), so that no upgrade of a collation can
-- break an index. The primary key is made first, so that of two writers the slower one meets it before any other index.
CREATE TABLE daybook.events (
    position bigint PRIMARY KEY CHECK (position > 0),
    event_id uuid NOT NULL,
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    event_type text NOT NULL,
    event_version text NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    recorded_at timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    digest bytea NOT NULL,
    idempotency_scope text COLLATE "C"
);
-- Each of these refuses what must never be stored. There is none over event_id: see the tables of the SQLite log.
CREATE UNIQUE INDEX events_by_stream ON daybook.events (aggregate_type, aggregate_id, sequence);
CREATE UNIQUE INDEX events_by_scope ON daybook.events (idempotency_scope) WHERE idempotency_scope IS NOT NULL;

COMMENT ON TABLE daybook.events IS 'What happened, in the order of commits. Rows are only ever added.';
COMMENT ON COLUMN daybook.events.position IS 'Place in the log: 1, 2, 3, ... without a gap, in the order of commits';
COMMENT ON COLUMN daybook.events.event_id IS 'Id of the event (UUIDv7)';
COMMENT ON COLUMN daybook.events.aggregate_type IS 'With aggregate_id: the stream, such as order';
COMMENT ON COLUMN daybook.events.aggregate_id IS 'Id of the aggregate within its type';
COMMENT ON COLUMN daybook.events.sequence IS 'Place in the stream: 1, 2, 3, ... without a gap';
COMMENT ON COLUMN daybook.events.event_type IS 'Type of the event, such as OrderPlaced';
COMMENT ON COLUMN daybook.events.event_version IS 'Version of the payload''s shape, a whole number';
COMMENT ON COLUMN daybook.events.payload IS 'What happened, as JSON';
COMMENT ON COLUMN daybook.events.metadata IS 'Who asked for it, and why, as JSON';
COMMENT ON COLUMN daybook.events.recorded_at IS 'When it was written; never goes back along the log';
COMMENT ON COLUMN daybook.events.occurred_at IS 'When it happened in the world; differs from recorded_at if imported or corrected';
COMMENT ON COLUMN daybook.events.digest IS 'SHA-256 over all of the above: a changed byte or a swapped pair shows';
COMMENT ON COLUMN daybook.events.idempotency_scope IS 'Repeated from metadata, to be found by';

CREATE TABLE daybook.log (
    format integer NOT NULL,
    id uuid NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE daybook.log IS 'One row: the format of these tables and the identity of the log';

-- These can be lost without losing an event.
CREATE TABLE daybook.snapshots (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    last_sequence bigint NOT NULL CHECK (last_sequence >= 0),
    current_snapshot bigint NOT NULL CHECK (current_snapshot >= 0),
    state_version bigint NOT NULL,
    payload json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
);
COMMENT ON TABLE daybook.snapshots IS 'Folded states, so that long streams need not be read from their start';
CREATE TABLE daybook.checkpoints (
    process text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL
);
COMMENT ON TABLE daybook.checkpoints IS 'How far each process has come';
CREATE TABLE daybook.tasks (
    process text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    due_at timestamptz,
    attempts bigint NOT NULL,
    last_error text,
    PRIMARY KEY (process, key)
);
CREATE INDEX tasks_by_due ON daybook.tasks (process, due_at, position, key);
COMMENT ON TABLE daybook.tasks IS 'What processes have put off: deadlines, retries and, without due_at, dead letters';
CREATE TABLE daybook.turns (
    process text COLLATE "C" PRIMARY KEY,
    holder uuid NOT NULL,
    until timestamptz NOT NULL
);
COMMENT ON TABLE daybook.turns IS 'Which node works on a process, and until when unless it says so again';
