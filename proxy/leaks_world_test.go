package proxy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/policies"
)

// leakWorld is the database of testdata/leaks in two variants of its secrets, each
// with a sidecar in front, and the twin.
type leakWorld struct {
	t       *testing.T
	variant [2]*leakVariant
	twin    *leakSession
	secrets []string
	stale   []string // marks that do not hold any more
	super   *pgx.Conn
}

// leakVariant is one variant of the secrets.
type leakVariant struct {
	pristine *pgtest.Database // never connected to
	database *pgtest.Database
	sidecar  *sidecar
	straight *leakSession
	proxied  *leakSession
	state    string            // see readState
	newest   uint32            // OID; what has a greater one was made by a case
	hashes   *strings.Replacer // numbers what the mask hash makes of the secrets
}

const leakRole = "leaks_app"

func newLeakWorld(t *testing.T) *leakWorld {
	t.Helper()
	w := &leakWorld{t: t, super: pgtest.Connect(t, pgtest.Start(t).DSN("postgres"))}
	w.exec(w.super, "CREATE ROLE "+leakRole+" LOGIN PASSWORD 'x' IN ROLE pg_read_server_files, pg_write_server_files, pg_execute_server_program, pg_read_all_stats")
	w.exec(w.super, "ALTER ROLE "+leakRole+" SET search_path = shop, crm, public")
	t.Cleanup(func() { pgtest.Start(t).Exec(t, "postgres", "DROP ROLE "+leakRole) })
	// All are made of one, so that they have the same OIDs.
	base := pgtest.NewDatabase(t)
	w.load(base, leakFile(t, "schema.sql"))
	rows := leakFile(t, "rows.sql")
	for i := range w.variant {
		w.variant[i] = w.newVariant(base, i, rows)
	}
	w.readSecrets(rows, leakFile(t, "schema.sql"))
	twin := w.variant[0].pristine.Copy(t)
	w.load(twin, leakFile(t, "twin.sql"))
	w.settle(twin)
	w.twin = w.session(twin.DSNFor(leakRole, "x"), twin.Connect(t))
	return w
}

func (w *leakWorld) newVariant(base *pgtest.Database, i int, rows string) *leakVariant {
	w.t.Helper()
	v := &leakVariant{pristine: base.Copy(w.t)}
	w.load(v.pristine, secretPair.ReplaceAllString(rows, fmt.Sprintf("${%d}", i+1)))
	w.settle(v.pristine)
	v.sidecar = startSidecar(w.t, sidecarOptions{Template: v.pristine, Policies: leakPolicies(w.t),
		DSN: func(d *pgtest.Database) string { return d.DSNFor(leakRole, "x") }})
	v.database = v.sidecar.Database
	w.exec(w.super, "GRANT CREATE ON DATABASE "+v.database.Name+" TO "+leakRole)
	admin := v.database.Connect(w.t)
	v.straight, v.proxied = w.session(v.database.DSNFor(leakRole, "x"), admin), w.session(v.sidecar.DSN("support-agent"), admin)
	// OIDs are counted for all databases.
	must(w.t, w.super.QueryRow(w.t.Context(), "SELECT oid FROM pg_catalog.pg_database WHERE datname = $1", v.database.Name).Scan(&v.newest))
	var err error
	v.state, err = v.proxied.readState(w.t.Context())
	must(w.t, err)
	return v
}

// settle leaves the rows where they would be had they never been changed, and the
// planner's statistics as they would be.
func (w *leakWorld) settle(d *pgtest.Database) {
	w.t.Helper()
	// Nothing shall move the rows or count them anew behind the test's back.
	d.Exec(w.t, `DO $$ DECLARE t regclass; BEGIN
		FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('shop'::regnamespace, 'crm'::regnamespace, 'hr'::regnamespace) LOOP
			EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', t);
		END LOOP; END $$`)
	d.Exec(w.t, "VACUUM FULL")
	d.Exec(w.t, "ANALYZE")
}

func (w *leakWorld) session(dsn string, admin *pgx.Conn) *leakSession {
	s := &leakSession{dsn: dsn, admin: admin}
	w.t.Cleanup(s.close)
	return s
}

func (w *leakWorld) exec(conn *pgx.Conn, sql string) {
	w.t.Helper()
	if _, err := conn.PgConn().Exec(w.t.Context(), sql).ReadAll(); err != nil {
		w.t.Fatalf("%v\nin: %s", err, sql)
	}
}

// load runs a file; a failure is told without the whole of it.
func (w *leakWorld) load(d *pgtest.Database, sql string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), d.DSN())
	must(w.t, err)
	_, err = conn.PgConn().Exec(w.t.Context(), sql).ReadAll()
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		at := []rune(sql)[max(0, int(pg.Position)-1):]
		w.t.Fatalf("%v at %.300s", err, string(at))
	}
	must(w.t, err)
	must(w.t, conn.Close(w.t.Context()))
}

func leakFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "leaks", name))
	must(t, err)
	return string(text)
}

// leakPolicies are the open door with masks, and the shipped guardrails.
func leakPolicies(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{
		"policy/leaks/leaks.rego":  leakFile(t, "policy.rego"),
		"bindings/leaks/data.yaml": "policy: leaks\nconnection: \"*\"\ngrant: standing\nrecord: false\n",
	}
	for _, name := range []string{"policy/guardrails/guardrails.rego", "bindings/guardrails/data.yaml"} {
		text, err := fs.ReadFile(policies.Bundle, name)
		must(t, err)
		files[name] = string(text)
	}
	return files
}

// secretPair is a value in rows.sql and what stands for it in the other variant.
var secretPair = regexp.MustCompile(`<<(.*?)\|(.*?)>>`)

const shortestSecret = 6 // shorter ones occur by chance

func (w *leakWorld) readSecrets(rows, schema string) {
	var hashes [2][]string
	for n, pair := range secretPair.FindAllStringSubmatch(rows, -1) {
		for i := range w.variant {
			secret := pair[i+1]
			if len(secret) >= shortestSecret && !strings.Contains(schema, secret) {
				w.secrets = append(w.secrets, secret)
			}
			digest := sha256.Sum256([]byte("s4lt" + secret))
			hashes[i] = append(hashes[i], hex.EncodeToString(digest[:])[:16], fmt.Sprintf("(hash %d)", n))
		}
	}
	for i, v := range w.variant {
		v.hashes = strings.NewReplacer(hashes[i]...)
	}
}

// told is the transcript as it is to be compared with that of the other variant.
// What the mask hash tells is which values are equal: its hashes are numbered.
func (v *leakVariant) told(t transcript) string {
	lines := make([]string, len(t.lines))
	for i, line := range t.lines {
		if strings.HasPrefix(line, "columns ") {
			// A type that a case has made has another OID in each database.
			line = greatNumber.ReplaceAllStringFunc(line, func(oid string) string {
				if n, err := strconv.ParseUint(oid, 10, 32); err == nil && uint32(n) > v.newest {
					return "(new)"
				}
				return oid
			})
		}
		lines[i] = strings.ReplaceAll(v.hashes.Replace(line), v.database.Name, "(database)")
	}
	return strings.Join(lines, "\n")
}

var greatNumber = regexp.MustCompile(`\b[1-9]\d{4,}\b`)

// secretIn returns a secret that is told and does not stand in the statements themselves.
func (w *leakWorld) secretIn(c *leakCase, told string) string {
	for _, secret := range w.secrets {
		if strings.Contains(told, secret) && !strings.Contains(strings.Join(append(c.statements, c.params...), " "), secret) {
			return secret
		}
	}
	return ""
}
