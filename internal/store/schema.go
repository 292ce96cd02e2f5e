package store

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations bring a database from one version of the schema to the next. One that
// has been released is never changed. Times are nanoseconds since 1970, 0 for none;
// lists and parties are JSON.
var migrations = []string{
	`CREATE TABLE grants (
		id            TEXT PRIMARY KEY,
		principal_key TEXT NOT NULL,
		connection    TEXT NOT NULL,
		state         TEXT NOT NULL CHECK (state IN ('requested', 'pending', 'active', 'refused', 'expired', 'revoked', 'ended')),
		principal     TEXT NOT NULL,
		binding       TEXT NOT NULL,
		reason        TEXT NOT NULL,
		mode          TEXT NOT NULL,
		revision      TEXT NOT NULL,
		record        INTEGER NOT NULL,
		requested_ttl INTEGER NOT NULL,
		ttl           INTEGER NOT NULL CHECK (ttl > 0),
		requested_at  INTEGER NOT NULL,
		opened_at     INTEGER NOT NULL,
		expires_at    INTEGER NOT NULL CHECK (expires_at > 0),
		closed_at     INTEGER NOT NULL,
		approval_id   TEXT NOT NULL,
		approvers     TEXT NOT NULL,
		approved_by   TEXT NOT NULL,
		actor         TEXT NOT NULL,
		cause         TEXT NOT NULL,
		unrecorded    INTEGER NOT NULL
	) STRICT;
	CREATE UNIQUE INDEX grants_one_open ON grants (principal_key, connection) WHERE state IN ('requested', 'pending', 'active');
	CREATE INDEX grants_state ON grants (state) WHERE state IN ('requested', 'pending', 'active');
	CREATE INDEX grants_unrecorded ON grants (id) WHERE unrecorded;
	CREATE INDEX grants_requested_at ON grants (requested_at);

	CREATE TABLE approvals (
		id            TEXT PRIMARY KEY,
		kind          TEXT NOT NULL CHECK (kind IN ('grant', 'statement')),
		state         TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'refused', 'withdrawn', 'expired', 'consumed')),
		requester_key TEXT NOT NULL,
		requester     TEXT NOT NULL,
		connection    TEXT NOT NULL,
		database      TEXT NOT NULL,
		session_id    TEXT NOT NULL,
		grant_id      TEXT NOT NULL,
		decision_id   TEXT NOT NULL,
		binding       TEXT NOT NULL,
		statement     TEXT NOT NULL,
		reason        TEXT NOT NULL,
		reasons       TEXT NOT NULL,
		relations     TEXT NOT NULL,
		masks         TEXT NOT NULL,
		approvers     TEXT NOT NULL,
		bind_hash     TEXT NOT NULL,
		created_at    INTEGER NOT NULL,
		deadline      INTEGER NOT NULL,
		decided_by    TEXT NOT NULL,
		decided_at    INTEGER NOT NULL,
		comment       TEXT NOT NULL,
		unrecorded    INTEGER NOT NULL
	) STRICT;
	CREATE INDEX approvals_state ON approvals (state) WHERE state IN ('pending', 'approved');
	CREATE INDEX approvals_unrecorded ON approvals (id) WHERE unrecorded;
	CREATE INDEX approvals_created_at ON approvals (created_at);`,
}

// migrate brings the schema up to date, or refuses one that is newer than we are.
func migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("its schema has version %d and this sallyport knows %d: run the newer sallyport", version, len(migrations))
	}
	for _, m := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, m); err != nil {
			return err
		}
	}
	if version < len(migrations) {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations))); err != nil {
			return err
		}
	}
	return tx.Commit()
}
