// Package pgtest gives tests a real PostgreSQL.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/devenv"
)

// Server is the one PostgreSQL of this test process.
type Server struct {
	*devenv.Postgres
}

var (
	once     sync.Once
	shared   *Server
	startErr error
	counter  atomic.Int64
)

// Main is the TestMain of packages that use the server: it runs the tests and
// stops the server. Without it the server ends shortly after the process.
func Main(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.Stop()
	}
	os.Exit(code)
}

// Start returns the server, started at the first call.
func Start(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	once.Do(func() {
		var p *devenv.Postgres
		if p, startErr = devenv.StartPostgres(context.Background(), devenv.PostgresOptions{}); startErr == nil {
			shared = &Server{Postgres: p}
		}
	})
	if startErr != nil {
		t.Fatal(startErr)
	}
	return shared
}

// Connect opens a connection that is closed at the test's end.
func Connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // a test may have broken it
	return conn
}

// Exec runs statements as superuser in the database, all in one go.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	// Not the test's context: it is over when cleanups run.
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		t.Fatalf("%v\nin: %s", err, sql)
	}
}

// Database is a new database, dropped when the test ends.
type Database struct {
	Name   string
	Server *Server
}

// NewDatabase makes a database of the shared server and runs the statements in it.
func NewDatabase(t testing.TB, sql ...string) *Database {
	t.Helper()
	return newDatabase(t, "", sql)
}

// Copy makes a database that has what this one has, by the same OIDs, and runs the
// statements in it. Nobody may be connected to this one.
func (d *Database) Copy(t testing.TB, sql ...string) *Database {
	t.Helper()
	return newDatabase(t, " TEMPLATE "+d.Name, sql)
}

func newDatabase(t testing.TB, template string, sql []string) *Database {
	t.Helper()
	s := Start(t)
	d := &Database{Name: fmt.Sprintf("test_%d", counter.Add(1)), Server: s}
	s.Exec(t, "postgres", "CREATE DATABASE "+d.Name+template)
	t.Cleanup(func() { s.Exec(t, "postgres", "DROP DATABASE "+d.Name+" WITH (FORCE)") })
	for _, one := range sql {
		d.Exec(t, one)
	}
	return d
}

// DSN is a connection URL of the superuser.
func (d *Database) DSN() string { return d.Server.DSN(d.Name) }

// DSNFor is the same for another role.
func (d *Database) DSNFor(user, password string) string {
	return d.Server.DSNFor(user, password, d.Name)
}

// Connect opens a superuser's connection that is closed at the test's end.
func (d *Database) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	return Connect(t, d.DSN())
}

// Exec runs statements as superuser, all in one go.
func (d *Database) Exec(t testing.TB, sql string) {
	t.Helper()
	d.Server.Exec(t, d.Name, sql)
}
