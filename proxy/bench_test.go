package proxy_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// BenchmarkStatement is what a point select costs through the sidecar, with a
// decision and a record each, in the three ways drivers send it.
func BenchmarkStatement(b *testing.B) {
	s := startSidecar(b, sidecarOptions{SQL: "create table t(id int primary key, v text); insert into t select i, 'v' from generate_series(1,1000) i"})
	for name, mode := range map[string]pgx.QueryExecMode{
		"simple": pgx.QueryExecModeSimpleProtocol, "extended": pgx.QueryExecModeExec, "prepared": pgx.QueryExecModeCacheStatement,
	} {
		b.Run(name, func(b *testing.B) {
			conn := pgtest.Connect(b, s.DSN("support-agent"))
			i := 0
			for b.Loop() {
				i++
				var v string
				if err := conn.QueryRow(b.Context(), "select v from t where id = $1", mode, i%1000+1).Scan(&v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
