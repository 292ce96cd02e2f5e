package proxy_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// tokenIn is the password in a DSN.
func (s *sidecar) tokenIn(dsn string) string {
	s.t.Helper()
	u, err := url.Parse(dsn)
	must(s.t, err)
	token, _ := u.User.Password()
	return token
}

// denied checks that the error is the denial of the table of secrets.
func denied(t testing.TB, err error) {
	t.Helper()
	refusedAs(t, err, "42501", "secrets are secret")
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Hint != "ask for something else" {
		t.Errorf("the hint is %q", pg.Hint)
	}
}

// refusedAs checks that pgx got a refusal.
func refusedAs(t testing.TB, err error, code, text string) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("got %v, want a refusal %s %q", err, code, text)
	}
	if err := checkRefusal(pg.Code, pg.Message, pg.Detail, code, text); err != nil {
		t.Fatal(err)
	}
}

func one[T any](t testing.TB, conn interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, sql string, args ...any) (v T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func TestPgx(t *testing.T) {
	s := startWireSidecar(t)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		t.Run(mode.String(), func(t *testing.T) {
			s.Database.Exec(t, readScript(t, "reset.sql"))
			config, err := pgx.ParseConfig(s.DSN("support-agent"))
			must(t, err)
			config.DefaultQueryExecMode = mode
			conn, err := pgx.ConnectConfig(t.Context(), config)
			must(t, err)
			defer func() { _ = conn.Close(context.Background()) }()
			pgxAsks(t, conn)
			pgxIsDenied(t, conn)
			pgxBatches(t, conn)
		})
	}
}

func pgxAsks(t *testing.T, conn *pgx.Conn) {
	for range 2 { // the second time from a cache
		if got := one[string](t, conn, "SELECT name FROM items WHERE id = $1", 2); got != "rope" {
			t.Errorf("got %q", got)
		}
	}
	rows, err := conn.Query(t.Context(), "SELECT id, data FROM items ORDER BY id")
	must(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil || len(got) != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"log"}, []string{"note"},
		pgx.CopyFromSlice(5000, func(i int) ([]any, error) { return []any{strings.Repeat("n", i%100)}, nil }))
	if err != nil || n != 5000 {
		t.Errorf("CopyFrom: %d, %v", n, err)
	}
	if got := one[int](t, conn, "SELECT count(*) FROM log"); got != 5000 {
		t.Errorf("%d rows were copied", got)
	}
}

func pgxIsDenied(t *testing.T, conn *pgx.Conn) {
	ctx := t.Context()
	_, err := conn.Exec(ctx, "SELECT word FROM secrets WHERE id = $1", 1)
	denied(t, err)
	if got := one[int](t, conn, "SELECT 1"); got != 1 {
		t.Errorf("after a denial: %d", got)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO log (note) VALUES ('kept')"); err != nil {
			return err
		}
		nested := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
			if _, err := inner.Exec(ctx, "INSERT INTO log (note) VALUES ('lost')"); err != nil {
				return err
			}
			_, err := inner.Exec(ctx, "SELECT word FROM secrets")
			return err
		})
		denied(t, nested)
		return nil
	})
	must(t, err)
	if got := one[int](t, conn, "SELECT count(*) FROM log WHERE note IN ('kept', 'lost')"); got != 1 {
		t.Errorf("%d rows stayed of the transaction", got)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT word FROM secrets")
		return err
	})
	denied(t, err)
}

func pgxBatches(t *testing.T, conn *pgx.Conn) {
	batch := &pgx.Batch{}
	for i := range 20 {
		batch.Queue("SELECT $1::int * 2", i)
	}
	results := conn.SendBatch(t.Context(), batch)
	for i := range 20 {
		var got int
		if err := results.QueryRow().Scan(&got); err != nil || got != i*2 {
			t.Fatalf("%d: %d, %v", i, got, err)
		}
	}
	must(t, results.Close())
	batch = &pgx.Batch{}
	batch.Queue("INSERT INTO log (note) VALUES ('batch')")
	batch.Queue("SELECT word FROM secrets")
	batch.Queue("INSERT INTO log (note) VALUES ('batch')")
	denied(t, conn.SendBatch(t.Context(), batch).Close())
	if got := one[int](t, conn, "SELECT count(*) FROM log WHERE note = 'batch'"); got != 0 {
		t.Errorf("%d rows stayed of a batch that was denied", got)
	}
}

func TestPgxPipeline(t *testing.T) {
	s := startWireSidecar(t)
	conn, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	p := conn.StartPipeline(t.Context())
	p.SendPrepare("s", "SELECT $1::int", nil)
	p.SendQueryPrepared("s", [][]byte{[]byte("1")}, nil, nil)
	must(t, p.Sync())
	p.SendQueryParams("SELECT word FROM secrets", nil, nil, nil, nil)
	must(t, p.Sync())
	p.SendQueryPrepared("s", [][]byte{[]byte("3")}, nil, nil)
	must(t, p.Sync())
	var heard []string
	for {
		result, err := p.GetResults()
		var pg *pgconn.PgError
		switch r := result.(type) {
		case *pgconn.StatementDescription:
			heard = append(heard, "prepared")
		case *pgconn.ResultReader:
			got := r.Read()
			if errors.As(got.Err, &pg) {
				heard = append(heard, pg.Code)
			} else {
				heard = append(heard, string(got.Rows[0][0]))
			}
		case *pgconn.PipelineSync:
			heard = append(heard, "sync")
		default:
			if errors.As(err, &pg) {
				heard = append(heard, pg.Code)
				continue
			}
			must(t, err)
			must(t, p.Close())
			if got := strings.Join(heard, " "); got != "prepared 1 sync 42501 sync 3 sync" {
				t.Errorf("heard %s", got)
			}
			return
		}
	}
}

func TestPgxListens(t *testing.T) {
	s := startWireSidecar(t)
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	_, err := conn.Exec(t.Context(), "LISTEN bell")
	must(t, err)
	s.Database.Exec(t, "NOTIFY bell, 'ding'")
	ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
	defer cancel()
	n, err := conn.WaitForNotification(ctx)
	if err != nil || n.Channel != "bell" || n.Payload != "ding" {
		t.Errorf("got %+v, %v", n, err)
	}
}

func TestPgxCancels(t *testing.T) {
	s := startWireSidecar(t)
	config, err := pgconn.ParseConfig(s.DSN("support-agent"))
	must(t, err)
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(60), 'pgx cancels'").ReadAll()
		ended <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
	defer cancel()
	must(t, awaitActivity(ctx, s.Database.DSN(), "state = 'active' AND query LIKE '%pgx cancels%'"))
	must(t, conn.CancelRequest(ctx))
	var pg *pgconn.PgError
	if err := <-ended; !errors.As(err, &pg) || pg.Code != "57014" {
		t.Errorf("got %v", err)
	}
}

func TestLibPQ(t *testing.T) {
	s := startWireSidecar(t)
	s.Database.Exec(t, readScript(t, "reset.sql"))
	for _, binary := range []string{"no", "yes"} {
		t.Run("binary parameters "+binary, func(t *testing.T) {
			db, err := sql.Open("postgres", s.DSN("support-agent", "binary_parameters", binary))
			must(t, err)
			defer func() { must(t, db.Close()) }()
			db.SetMaxOpenConns(1)
			libpqAsks(t, db)
			libpqIsDenied(t, db)
		})
	}
	t.Run("listens", func(t *testing.T) {
		l := pq.NewListener(s.DSN("support-agent"), time.Second, time.Second, nil)
		defer func() { _ = l.Close() }()
		must(t, l.Listen("bell"))
		s.Database.Exec(t, "NOTIFY bell, 'ding'")
		select {
		case n := <-l.Notify:
			if n.Channel != "bell" || n.Extra != "ding" {
				t.Errorf("got %+v", n)
			}
		case <-time.After(conversationTime):
			t.Error("nothing was heard")
		}
	})
}

func libpqAsks(t *testing.T, db *sql.DB) {
	ctx := t.Context()
	var name string
	must(t, db.QueryRowContext(ctx, "SELECT name FROM items WHERE id = $1", 2).Scan(&name))
	must(t, db.QueryRowContext(ctx, "SELECT name FROM items").Scan(&name))
	st, err := db.PrepareContext(ctx, "SELECT $1::text || 'x'")
	must(t, err)
	for _, word := range []string{"a", "b"} {
		if err := st.QueryRowContext(ctx, word).Scan(&name); err != nil || name != word+"x" {
			t.Errorf("%q, %v", name, err)
		}
	}
	must(t, st.Close()) //nolint:sqlclosecheck // what is behind it is to come after it
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	in, err := tx.PrepareContext(ctx, pq.CopyIn("log", "note")) //nolint:staticcheck // drivers in use have it
	must(t, err)
	for range 1000 {
		if _, err := in.ExecContext(ctx, "copied"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = in.ExecContext(ctx)
	must(t, err)
	must(t, in.Close()) //nolint:sqlclosecheck // it ends the COPY
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM log").Scan(&n); err != nil || n != 1000 {
		t.Errorf("%d rows were copied, %v", n, err)
	}
	must(t, tx.Rollback())
}

func libpqIsDenied(t *testing.T, db *sql.DB) {
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		var e *pq.Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
		if err := checkRefusal(string(e.Code), e.Message, e.Detail, "42501", "secrets are secret"); err != nil || e.Hint != "ask for something else" {
			t.Errorf("%v, hint %q", err, e.Hint)
		}
	}
	_, err := db.ExecContext(ctx, "SELECT word FROM secrets")
	check(err)
	_, err = db.ExecContext(ctx, "SELECT word FROM secrets WHERE id = $1", 1)
	check(err)
	_, err = db.PrepareContext(ctx, "SELECT word FROM secrets WHERE id = $1") //nolint:sqlclosecheck // it is refused
	check(err)
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	_, err = tx.ExecContext(ctx, "SELECT word FROM secrets WHERE id = $1", 1)
	check(err)
	var e *pq.Error
	if _, err := tx.ExecContext(ctx, "SELECT 1"); !errors.As(err, &e) || e.Code != "25P02" {
		t.Errorf("in the failed transaction: %v", err)
	}
	must(t, tx.Rollback())
	rows, err := db.QueryContext(ctx, "SELECT id FROM limited") //nolint:sqlclosecheck // read to its end
	must(t, err)
	for rows.Next() {
	}
	if err := rows.Err(); !errors.As(err, &e) || e.Code != "53300" {
		t.Errorf("beyond the row limit: %v", err)
	}
	var n int
	if err := db.QueryRowContext(ctx, "SELECT 1").Scan(&n); err != nil || n != 1 {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}
