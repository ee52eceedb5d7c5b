-- Cairn: the complete current schema of a stack file. Format 1.
--
-- This file is what a new stack gets; migrations in src/store/ bring an older file to exactly this shape (a test compares
-- the two). `application_id` 0x4341524E ("CARN") and `user_version` (the format number) identify a file.
--
-- Conventions: instants are INTEGER milliseconds since 1970 UTC. `rid` is the 60-bit record id that is printed as
-- 12 base-32 characters. JSON is TEXT, minified. Long texts that repeat (identities, app names) are stored once in `name`.

-- Settings and counters of the file itself: owner, signing keys, format history.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

-- Interned texts: DIDs and app names. Rows are never removed: an author stays an author.
CREATE TABLE name (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- The family of a type: its name without `@version`.
CREATE TABLE collection (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    -- JSON: which face made it, rules, display; NULL for a plain stack collection.
    config TEXT
) STRICT;

CREATE TABLE type (
    id            INTEGER PRIMARY KEY,
    collection    INTEGER NOT NULL REFERENCES collection (id),
    version       INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    -- The schema as it was sent, unknown keys included.
    schema        TEXT    NOT NULL,
    schema_hash   TEXT    NOT NULL,
    migrates_from TEXT,
    -- 1 when records of the type are in the full-text index.
    search        INTEGER NOT NULL DEFAULT 1,
    created_at    INTEGER NOT NULL,
    UNIQUE (collection, version)
) STRICT;

-- The current state of every record, soft-deleted ones included.
CREATE TABLE record (
    rid          INTEGER PRIMARY KEY,
    type         INTEGER NOT NULL REFERENCES type (id),
    version      INTEGER NOT NULL,
    -- Number of the unit that made this version.
    tx           INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    deleted_at   INTEGER,
    -- For whom the creator acted, and who it was when somebody else (name.id).
    subject      INTEGER REFERENCES name (id),
    principal    INTEGER REFERENCES name (id),
    app          INTEGER REFERENCES name (id),
    -- Containing record, as text: existence is not promised.
    parent       TEXT,
    -- The id a client or a protocol chose; unique in its collection through table `alias`.
    alias        TEXT,
    -- JSON array or NULL, passed through to answers.
    permissions  TEXT,
    -- JSON array or NULL, passed through to answers; table `association` is its index.
    associations TEXT,
    -- JSON object, as it came in, minified.
    content      TEXT NOT NULL
) STRICT;

CREATE INDEX record_type_created ON record (type, created_at);
-- Order of creation is the order of record ids, which created_at need not follow.
CREATE INDEX record_type ON record (type);
CREATE INDEX record_created ON record (created_at);
CREATE INDEX record_parent ON record (parent, created_at) WHERE parent IS NOT NULL;

-- Chosen ids. `collection` 0 holds the fixed ids of the stack (`_config`, an imported owner card).
CREATE TABLE alias (
    collection INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    rid        INTEGER NOT NULL,
    PRIMARY KEY (collection, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX alias_id ON alias (id);

-- Journal, version history and change feed in one append-only table. `replaced` of the change that made version n + 1 is
-- version n. A commit unit has one `tx`; a purge leaves its rows with `replaced` NULL.
CREATE TABLE change (
    seq      INTEGER PRIMARY KEY,
    tx       INTEGER NOT NULL,
    -- 0 for a unit that changed no record.
    rid      INTEGER NOT NULL,
    -- The version this change made.
    version  INTEGER NOT NULL,
    op       INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    -- For whom, and by whom when somebody else (name.id); NULL for the product itself.
    actor    INTEGER,
    via      INTEGER,
    -- JSON: the state replaced (see store/change.rs).
    replaced TEXT
) STRICT;

CREATE INDEX change_history ON change (rid, version) WHERE replaced IS NOT NULL;

-- Index of associations, both directions. kind: 0 tag, 1 attachment, 2 relationship, 3 content field declared file-ref.
-- `target` is a blob hash, a record id or DID as text, '' for tags.
CREATE TABLE association (
    rid    INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    label  TEXT    NOT NULL,
    target TEXT    NOT NULL,
    PRIMARY KEY (rid, kind, label, target)
) STRICT, WITHOUT ROWID;

CREATE INDEX association_target ON association (kind, target, label, rid);

-- What live `_grant` records allow, for look-ups. grantee NULL: any authenticated subject.
CREATE TABLE grant_right (
    rid     INTEGER PRIMARY KEY,
    family  TEXT    NOT NULL,
    grantee TEXT,
    -- Bits of engine::access::Actions.
    actions INTEGER NOT NULL
) STRICT;

CREATE INDEX grant_right_grantee ON grant_right (grantee);

-- Immutable bytes. hash NULL: an upload in progress, or bytes waiting to be swept.
CREATE TABLE blob (
    id         INTEGER PRIMARY KEY,
    hash       TEXT UNIQUE,
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Piece n of blob b has id (b << 20) | n; all pieces but the last are 256 KiB.
CREATE TABLE blob_chunk (
    id    INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

-- Uploads that may be gone on with; given up a day after the last write.
CREATE TABLE resumable_upload (
    id           TEXT PRIMARY KEY,
    -- Subject that began it, '' for an anonymous one.
    owner        TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    metadata     TEXT,
    size         INTEGER NOT NULL,
    -- Row of `blob`, without hash, that the pieces hang on.
    blob         INTEGER NOT NULL UNIQUE,
    -- JSON: the ranges that arrived, [[first, end], …], and how often that changed.
    received     TEXT    NOT NULL,
    revision     INTEGER NOT NULL,
    touched_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX resumable_upload_owner ON resumable_upload (owner);
CREATE INDEX resumable_upload_age ON resumable_upload (touched_at);

-- Words of the records' texts, taken apart and lower-cased by schema::words and separated by blanks: tokenizer `ascii` takes
-- every sign beyond ASCII for a part of a word and so keeps them as they are. Contentless: the text stays in `record`.
CREATE VIRTUAL TABLE search USING fts5 (text, content = '', contentless_delete = 1, tokenize = 'ascii');

-- Issued tokens; only the SHA-256 of a secret is kept.
CREATE TABLE token (
    id         TEXT PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE,
    principal  TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    label      TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;

CREATE INDEX token_expiry ON token (expires_at) WHERE expires_at IS NOT NULL;

-- Open challenges of the DID handshake.
CREATE TABLE nonce (
    nonce      TEXT PRIMARY KEY,            -- SHA-256 of it, in hex
    did        TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX nonce_expiry ON nonce (expires_at);

-- Answers to requests that carried an idempotency key, for a day.
CREATE TABLE answer (
    -- User id, or what stands for it.
    who         TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    -- SHA-256 of method, path and body.
    fingerprint BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (who, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX answer_at ON answer (at);

-- What an account signs in with. The account itself, its profile, role and claims, is the record `rid` of type `_user`.
CREATE TABLE account (
    rid             INTEGER PRIMARY KEY REFERENCES record (rid) ON DELETE CASCADE,
    -- The login name, trimmed and in lower case.
    login           TEXT NOT NULL UNIQUE,
    -- PHC string; NULL for an account that signs in another way.
    password        TEXT,
    disabled_at     INTEGER,
    -- Second factor: asked for once it is confirmed; steps up to `totp_step` are used up.
    totp_seed       BLOB,
    totp_enabled_at INTEGER,
    totp_step       INTEGER
) STRICT;

-- Single-use codes in place of the second factor, as SHA-256.
CREATE TABLE recovery_code (
    account INTEGER NOT NULL REFERENCES account (rid) ON DELETE CASCADE,
    hash    BLOB    NOT NULL,
    PRIMARY KEY (account, hash)
) STRICT, WITHOUT ROWID;

-- A password was right and the second factor is still to come; only the SHA-256 of the challenge is kept.
CREATE TABLE mfa_challenge (
    hash        BLOB PRIMARY KEY,
    account     INTEGER NOT NULL REFERENCES account (rid) ON DELETE CASCADE,
    -- SHA-256 of the fingerprint that came with the password.
    fingerprint BLOB,
    failures    INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX mfa_challenge_account ON mfa_challenge (account);
CREATE INDEX mfa_challenge_expiry ON mfa_challenge (expires_at);

-- Live sessions; an ended one is removed. Access tokens name one, streams hang on one.
CREATE TABLE session (
    id           TEXT PRIMARY KEY,
    account      INTEGER NOT NULL REFERENCES account (rid) ON DELETE CASCADE,
    device       TEXT    NOT NULL,
    ip           TEXT    NOT NULL,
    -- SHA-256 of the device fingerprint the session is bound to.
    fingerprint  BLOB,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    -- SHA-256 of the refresh token in force, and how many came before it.
    refresh      BLOB    NOT NULL UNIQUE,
    generation   INTEGER NOT NULL,
    -- How long a refresh token lives, when this one ends, and when the session ends whatever happens.
    idle_ms      INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_account ON session (account, last_used_at);
CREATE INDEX session_expiry ON session (expires_at);

-- Refresh tokens that were exchanged, until they would have expired: whoever shows one has a stolen copy, or lost the race.
CREATE TABLE spent_refresh (
    session    TEXT    NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (session, generation)
) STRICT, WITHOUT ROWID;

-- Wrong passwords and codes by login name (SHA-256), whether or not there is such an account.
CREATE TABLE sign_in_failure (
    name         BLOB PRIMARY KEY,
    failures     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    locked_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_in_failure_age ON sign_in_failure (last_at);

-- Secrets that tokens and links are signed with, by purpose; the newest signs, the one before it still verifies.
CREATE TABLE signing_key (
    id         TEXT PRIMARY KEY,
    purpose    TEXT    NOT NULL,
    secret     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sizes for the planner, as of a large file, so that every file gets the same plans from its first record on: without them
-- SQLite takes "of this type" to be as selective as a value of an indexed field. Field indexes have no line on purpose.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('record', 'record_type_created', '1000000 500000 2'),
    ('record', 'record_type', '1000000 500000'),
    ('record', 'record_created', '1000000 2'),
    ('record', 'record_parent', '500000 100 2'),
    ('association', 'association_target', '1000000 300000 20 4 1');
