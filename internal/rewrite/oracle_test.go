package rewrite

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/internal/query"
)

const oracleSchema = `
CREATE SCHEMA app;
CREATE TABLE app.users (
	id serial PRIMARY KEY,
	tenant integer,
	email text,
	name text,
	login text DEFAULT 'guest',
	salary integer,
	cap integer,
	rate integer,
	share integer GENERATED ALWAYS AS (cap / (rate + 1)) STORED,
	note text,
	CONSTRAINT users_tenant_email UNIQUE (tenant, email),
	CONSTRAINT users_cap CHECK (salary <= cap),
	CONSTRAINT users_salary CHECK (salary > 0)
);
CREATE UNIQUE INDEX users_login ON app.users (lower(login)) INCLUDE (name);
CREATE TABLE app.accounts (number text PRIMARY KEY, owner integer REFERENCES app.users (id) ON DELETE CASCADE, pin text, label text);
CREATE TABLE app.payments (id integer PRIMARY KEY, account text REFERENCES app.accounts (number) ON UPDATE CASCADE, amount integer);
CREATE TABLE app.rooms (id integer PRIMARY KEY, during int4range, guest text, EXCLUDE USING gist (during WITH &&));
CREATE TABLE app.logs (id integer, code text, at date) PARTITION BY RANGE (at);
CREATE TABLE app.logs_1 PARTITION OF app.logs FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE UNIQUE INDEX logs_1_code ON app.logs_1 (code);
CREATE TABLE app.shared (id integer PRIMARY KEY, level integer, floor integer);
ALTER TABLE app.shared ENABLE ROW LEVEL SECURITY;
CREATE POLICY above ON app.shared USING (true) WITH CHECK (level >= floor);
CREATE VIEW app.people AS SELECT id, tenant, email AS mail, name FROM app.users;
INSERT INTO app.users (tenant, email, name, login, salary, cap, rate) VALUES (1, 'a@x', 'A', 'ada', 10, 100, 1);
INSERT INTO app.accounts VALUES ('n1', 1, 'p', 'l');
`

// TestWriteOracles writes what would tell of masked columns, one mask at a time, and
// what would not.
func TestWriteOracles(t *testing.T) {
	d := &database{Database: pgtest.NewDatabase(t, oracleSchema)}
	d.load(t)
	for _, c := range []struct{ masked, sql, told string }{
		// A unique key tells whether a value is there.
		{"users.email", "INSERT INTO users (tenant, email) VALUES (1, 'a@x')", "unique index users_tenant_email"},
		{"users.email", "INSERT INTO users (tenant, email) VALUES (1, 'a@x') ON CONFLICT DO NOTHING", "unique index users_tenant_email"},
		{"users.email", "INSERT INTO users (tenant, email) SELECT 1, email FROM users", "unique index users_tenant_email"},
		{"users.email", "INSERT INTO users (tenant, name) VALUES (1, 'x')", ""},
		{"users.email", "INSERT INTO users (email, name) VALUES ('a@x', 'x')", ""},
		{"users.email", "INSERT INTO users (tenant, email) VALUES (1, NULL), (2, DEFAULT)", ""},
		{"users.email", "INSERT INTO users (tenant, email) VALUES (1, NULL), (2, 'a@x')", "unique index users_tenant_email"},
		{"users.email", "UPDATE users SET email = 'a@x' WHERE id = 2", "unique index users_tenant_email"},
		{"users.email", "UPDATE users SET email = COALESCE($1, email) WHERE id = 2", "unique index users_tenant_email"},
		{"users.email", "UPDATE users SET tenant = 2", "unique index users_tenant_email"},
		{"users.email", "UPDATE users SET email = NULL", ""},
		{"users.email", "UPDATE users SET email = email, name = 'x'", ""},
		{"users.email", "UPDATE users SET note = email", ""},
		{"users.name", "INSERT INTO users (login, name) VALUES ('x', 'y')", ""},
		{"users.name", "UPDATE users SET name = 'x', tenant = 3", ""},
		{"users.login", "INSERT INTO users (name) VALUES ('x')", "unique index users_login"},
		{"users.login", "INSERT INTO users (name, login) VALUES ('x', NULL)", "unique index users_login"},
		{"users.login", "UPDATE users SET login = 'y'", "unique index users_login"},
		{"users.id", "INSERT INTO users (name) VALUES ('x')", ""},
		{"users.id", "INSERT INTO users (id) VALUES (7)", "unique index users_pkey"},
		{"users.email", "MERGE INTO users u USING accounts a ON a.owner = u.id WHEN NOT MATCHED THEN INSERT (tenant, email) VALUES (1, a.label)", "unique index users_tenant_email"},
		{"users.email", "MERGE INTO users u USING accounts a ON a.owner = u.id WHEN MATCHED THEN UPDATE SET name = a.label", ""},
		{"users.email", "COPY users (tenant, email) FROM STDIN", "unique index users_tenant_email"},
		{"users.email", "COPY users (tenant, name) FROM STDIN", ""},
		{"users.email", "INSERT INTO people (tenant, mail) VALUES (1, 'a@x')", "unique index users_tenant_email"},
		{"users.email", "UPDATE people SET mail = 'x'", "unique index users_tenant_email"},
		{"users.email", "UPDATE people SET name = 'x' WHERE mail IS NULL", ""},
		{"users.email", "WITH x AS (INSERT INTO users (tenant, email) VALUES (1, 'a@x') RETURNING id) SELECT * FROM x", "unique index users_tenant_email"},
		{"logs.code", "INSERT INTO logs VALUES (1, 'c', '2024-01-01')", "unique index logs_1_code"},
		{"logs_1.code", "UPDATE logs SET code = 'c'", "unique index logs_1_code"},
		{"logs.code", "UPDATE ONLY logs SET code = 'c'", ""},
		{"rooms.during", "INSERT INTO rooms VALUES (1, '[1,2)')", "unique index rooms_during_excl"},
		{"rooms.guest", "INSERT INTO rooms VALUES (1, '[1,2)', 'g')", ""},
		// A check tells how what is written compares with what is there.
		{"users.salary", "UPDATE users SET cap = 11", "constraint users_cap"},
		{"users.salary", "UPDATE users SET cap = 11, salary = 5", ""},
		{"users.salary", "UPDATE users SET cap = 11, salary = COALESCE($1, salary)", "constraint users_cap"},
		{"users.salary", "UPDATE users SET salary = 5", ""},
		{"users.cap", "UPDATE users SET salary = 5", "constraint users_cap"},
		{"users.salary", "INSERT INTO users (salary, cap) VALUES (1, 2)", ""},
		{"users.salary", "INSERT INTO users (id, salary, cap) VALUES (1, 1, 2) ON CONFLICT (id) DO UPDATE SET cap = excluded.cap", "constraint users_cap"},
		{"users.salary", "UPDATE users SET name = 'x'", ""},
		{"shared.floor", "UPDATE shared SET level = 3", "constraint above"},
		{"shared.floor", "UPDATE shared SET floor = 3", ""},
		// A generated column fails by both.
		{"users.rate", "UPDATE users SET cap = 5", "generated column share"},
		{"users.rate", "UPDATE users SET rate = 5, cap = 4", ""},
		{"users.cap", "UPDATE users SET rate = 5", "generated column share"},
		// A foreign key tells whether a value is there, and who refers to it.
		{"accounts.number", "INSERT INTO payments VALUES (1, 'n1', 5)", "foreign key payments_account_fkey"},
		{"accounts.number", "INSERT INTO payments (id, amount) VALUES (1, 5)", ""},
		{"accounts.number", "UPDATE payments SET account = 'n1'", "foreign key payments_account_fkey"},
		{"accounts.number", "UPDATE payments SET amount = 1, account = NULL", ""},
		{"payments.account", "INSERT INTO payments VALUES (1, 'n1', 5)", ""},
		{"payments.account", "DELETE FROM accounts WHERE label = 'l'", "foreign key payments_account_fkey"},
		{"payments.account", "UPDATE accounts SET number = 'n2'", "foreign key payments_account_fkey"},
		{"payments.account", "UPDATE accounts SET label = 'l'", ""},
		{"payments.account", "DELETE FROM users WHERE id = 1", "foreign key payments_account_fkey"},
		{"payments.amount", "DELETE FROM users WHERE id = 1", ""},
		{"accounts.number", "DELETE FROM accounts WHERE label = 'l'", "foreign key payments_account_fkey"},
		{"accounts.pin", "DELETE FROM accounts WHERE label = 'l'", ""},
		{"users.email", "DELETE FROM users WHERE name = 'A'", ""},
	} {
		id := "app." + c.masked
		masks := map[string]Mask{id: {Function: "null"}}
		a := d.analyze(t, c.sql)
		if len(a.Shape.Unresolved) > 0 {
			t.Fatalf("%s: %v", c.sql, a.Shape.Unresolved)
		}
		r := Request{Analysis: a, Snapshot: d.snapshot, Masks: told(masks, a), Beside: asked(masks, a, d.snapshot)}
		_, err := Statement(r)
		switch {
		case c.told == "" && err != nil:
			t.Errorf("%s: %s: %v", c.masked, c.sql, err)
		case c.told != "" && (err == nil || !strings.Contains(err.Error(), "is masked and "+c.told)):
			t.Errorf("%s: %s: %v, want %s", c.masked, c.sql, err, c.told)
		}
		if _, err := Statement(Request{Analysis: a, Snapshot: d.snapshot, Masks: r.Masks, Beside: r.Beside, Seen: true}); err != nil {
			t.Errorf("%s: %s, seen by a person: %v", c.masked, c.sql, err)
		}
		for _, m := range []map[string]Mask{r.Masks, r.Beside} {
			for id := range m {
				m[id] = Mask{Function: "null", Written: true}
			}
		}
		if _, err := Statement(r); err != nil {
			t.Errorf("%s: %s, with the risk taken: %v", c.masked, c.sql, err)
		}
	}
}

// asked are the masks of columns that writes are checked against.
func asked(masks map[string]Mask, a *query.Analysis, s *catalog.Snapshot) map[string]Mask {
	some := map[string]Mask{}
	for _, r := range Beside(a, s) {
		for _, c := range r.Columns {
			if mask, ok := masks[columnID(r, c)]; ok {
				some[columnID(r, c)] = mask
			}
		}
	}
	return some
}
