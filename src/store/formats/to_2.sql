-- Format 2: links by mail, verified addresses.

-- Links sent by mail, each good for one use; only the SHA-256 of what is in the mail is kept.
CREATE TABLE mail_link (
    hash       BLOB PRIMARY KEY,
    -- What it is for: see store/mail_link.rs.
    purpose    INTEGER NOT NULL,
    -- NULL for an invitation: there is no account yet.
    account    INTEGER REFERENCES account (rid) ON DELETE CASCADE,
    -- Where it was sent, in the form of a login name, and the role that an invitation gives.
    login      TEXT    NOT NULL,
    role       TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX mail_link_login ON mail_link (login, purpose, created_at);
CREATE INDEX mail_link_account ON mail_link (account);
CREATE INDEX mail_link_expiry ON mail_link (expires_at);

-- Accounts whose holder has shown that mail to the login name arrives.
CREATE TABLE verified_login (
    account INTEGER PRIMARY KEY REFERENCES account (rid) ON DELETE CASCADE,
    at      INTEGER NOT NULL
) STRICT;
