-- The index over the segments. Everything in it can be read again from them.
CREATE TABLE log (read INTEGER NOT NULL);
INSERT INTO log VALUES (0);

CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    -- How many bytes of the two files have been read.
    records_read INTEGER NOT NULL DEFAULT 0,
    contents_read INTEGER NOT NULL DEFAULT 0,
    -- 'open', 'ended' or 'killed', as the device log has it.
    state TEXT NOT NULL DEFAULT 'open',
    start TEXT,
    started INTEGER,
    last INTEGER,
    exit INTEGER,
    events INTEGER NOT NULL DEFAULT 0,
    allowed INTEGER NOT NULL DEFAULT 0,
    asked INTEGER NOT NULL DEFAULT 0,
    denied INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX sessions_open ON sessions (number) WHERE state = 'open';
CREATE INDEX sessions_started ON sessions (started);

-- What was only observed: a rule, where it came from and what it would have decided, as JSON.
CREATE TABLE observed (number INTEGER PRIMARY KEY, rule TEXT NOT NULL UNIQUE);

-- An id is the time in milliseconds, shifted by 20 bits, and a number that tells apart what
-- happened in the same one: so it orders events, and pages can go on from it.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    decision TEXT,
    -- By which rule it would have been stopped, where it was only observed.
    observed INTEGER,
    line TEXT NOT NULL
);
CREATE UNIQUE INDEX events_place ON events (session, seq);
CREATE INDEX events_session ON events (session);
CREATE INDEX events_kind ON events (kind);
-- All that a report counts, so that it reads no line of a million.
CREATE INDEX events_observed ON events (observed, id DESC, session) WHERE observed IS NOT NULL;
CREATE INDEX events_decision ON events (decision) WHERE decision IS NOT NULL;

-- What a session had to do with a host, summed up. The empty host stands for those that were too many
-- to be told apart; what is known only when a session has ended is NULL before.
CREATE TABLE hosts (
    session INTEGER NOT NULL,
    host TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    connections INTEGER,
    sent INTEGER,
    received INTEGER,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    -- Those that are known to have asked, as a JSON list, the first first.
    commands TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (session, host)
) WITHOUT ROWID;

-- The facets are words that a filter looks for, so that a search among a million events with a
-- filter costs no more than one without.
CREATE VIRTUAL TABLE words USING fts5 (
    text, facets, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
