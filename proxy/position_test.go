package proxy_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// An error in a statement that was rewritten points into the client's own text.
func TestErrorPositionsOfRewrittenStatements(t *testing.T) {
	s := startSidecar(t, sidecarOptions{
		SQL: "create table people (id int, email text); insert into people values (1, 'a@b.c')",
		Policies: map[string]string{
			"policy/open_door/open_door.rego": openDoor + "\nstatement.mask contains {\"column\": \"public.people.email\", \"with\": \"redact\"}\n",
			"bindings/open-door/data.yaml":    openDoorBinding,
		},
	})
	const sql = "  select email, id + date '2020-01-01' + email::date from people"
	position := func(conn *pgx.Conn, mode pgx.QueryExecMode) int32 {
		_, err := conn.Exec(t.Context(), sql, mode)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) {
			t.Fatalf("no error of the server: %v", err)
		}
		return pg.Position
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement} {
		direct := position(s.Database.Connect(t), mode)
		if through := position(pgtest.Connect(t, s.DSN("support-agent")), mode); through != direct || direct == 0 {
			t.Errorf("position %d, straight %d", through, direct)
		}
	}
}
