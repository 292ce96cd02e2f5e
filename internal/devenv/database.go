package devenv

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

const (
	databaseName = "shop"
	appRole      = "sallyport_app"
)

//go:embed sample.sql
var sampleSQL string

//go:embed grant.sql
var grantSQL string

// database is the server that the proxy stands before.
type database struct {
	server     *Postgres // nil when it is somebody else's
	dsn        string    // what the proxy connects with
	catalogDSN string    // what it reads the catalog with, where another
	superDSN   string    // what may do anything, where it is ours
}

// openDatabase starts a throwaway server with data, or takes the one it is given.
func openDatabase(ctx context.Context, o Options) (*database, error) {
	if o.Upstream != "" {
		return &database{dsn: withSSLMode(o.Upstream), catalogDSN: withSSLMode(o.CredentialDSN)}, nil
	}
	server, err := StartPostgres(ctx, PostgresOptions{Database: databaseName, Log: o.Log})
	if err != nil {
		return nil, err
	}
	db := &database{server: server, superDSN: server.DSN(databaseName), catalogDSN: withSSLMode(o.CredentialDSN)}
	if err := db.fill(ctx, o.Seed); err != nil {
		server.Stop()
		return nil, err
	}
	return db, nil
}

// fill makes the application's role and the data.
func (db *database) fill(ctx context.Context, seed string) error {
	password := rand.Text()
	err := db.exec(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", appRole, password))
	if err != nil {
		return fmt.Errorf("making the application's role: %w", err)
	}
	db.dsn = db.server.DSNFor(appRole, password, databaseName)
	if seed == "" {
		err = db.exec(ctx, sampleSQL)
	} else {
		err = db.runSeed(ctx, seed)
	}
	if err != nil {
		return err
	}
	// Tools bring schemas of their own, by the direct connection or through the proxy.
	return db.exec(ctx, fmt.Sprintf("GRANT ALL ON DATABASE %s TO %s; GRANT ALL ON SCHEMA public TO %s; ANALYZE", databaseName, appRole, appRole))
}

func (db *database) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, db.superDSN)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // says goodbye even when the start is given up
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// runSeed has psql run the file, since seeds are often dumps with COPY and
// backslash commands in them.
func (db *database) runSeed(ctx context.Context, seed string) error {
	path, err := filepath.Abs(seed)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	psql, err := exec.LookPath("psql")
	if err != nil {
		return errors.New("running a seed needs psql: install the PostgreSQL client (apt-get install postgresql-client)")
	}
	cmd := exec.CommandContext(ctx, psql, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file="+path)
	cmd.Dir = filepath.Dir(path)
	cmd.Env = append(clientEnv(), "PGHOST="+db.server.Host, "PGPORT="+strconv.Itoa(db.server.Port), "PGUSER="+db.server.Superuser,
		"PGPASSWORD="+db.server.password, "PGDATABASE="+databaseName)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("seed: psql: %w\n%s", err, bytes.TrimSpace(out))
	}
	if err := db.exec(ctx, grantSQL); err != nil {
		return fmt.Errorf("granting what the seed made: %w", err)
	}
	return nil
}

// clientEnv is the environment without what would steer psql elsewhere.
func clientEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") {
			env = append(env, kv)
		}
	}
	return env
}

// withSSLMode says libpq's default out loud, because sallyport's configuration
// wants to see it said. Whoever gives a DSN with another keeps that.
func withSSLMode(dsn string) string {
	switch {
	case dsn == "" || strings.Contains(dsn, "sslmode"):
		return dsn
	case !strings.Contains(dsn, "://"):
		return dsn + " sslmode=prefer"
	case strings.Contains(dsn, "?"):
		return dsn + "&sslmode=prefer"
	default:
		return dsn + "?sslmode=prefer"
	}
}
