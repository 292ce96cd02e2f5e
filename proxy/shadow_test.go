package proxy_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// Code that a policy trusts may leave a temporary table that is in the way of
// another. What was judged is what is read all the same.
func TestTemporaryTablesDoNotShadow(t *testing.T) {
	s := startSidecar(t, sidecarOptions{
		SQL: `create table t (v text); insert into t values ('real');
			create function shadow() returns void language plpgsql as $$ begin create temp table t as select 'shadow'::text as v; end $$`,
		Policies: map[string]string{
			"policy/open_door/open_door.rego": openDoor + "\nstatement.trusted_functions contains \"public.shadow\"\n",
			"bindings/open-door/data.yaml":    openDoorBinding,
		},
	})
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement} {
		t.Run(name, func(t *testing.T) {
			conn := pgtest.Connect(t, s.DSN("support-agent"))
			read := func() string {
				var v string
				must(t, conn.QueryRow(t.Context(), "select v from t", mode).Scan(&v))
				return v
			}
			if v := read(); v != "real" {
				t.Fatal(v)
			}
			_, err := conn.Exec(t.Context(), "select shadow()", mode)
			must(t, err)
			if mode == pgx.QueryExecModeCacheStatement {
				must(t, conn.DeallocateAll(t.Context())) // a driver would on being told that the statement must be prepared again
			}
			if v := read(); v != "real" {
				t.Errorf("read %q", v)
			}
		})
	}
}
