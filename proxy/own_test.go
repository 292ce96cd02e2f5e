package proxy_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/pgtest"
)

// A temporary table of a masked one's name changes what is masked neither while it
// is there nor when it has gone.
func TestTemporaryTablesAreSeen(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL, Policies: maskedEmails()})
	for _, mode := range []string{"simple_protocol", "describe_exec"} {
		t.Run(mode, func(t *testing.T) {
			conn := pgtest.Connect(t, s.DSN("support-agent", "default_query_exec_mode", mode))
			run := func(sql string) {
				t.Helper()
				_, err := conn.Exec(t.Context(), sql)
				must(t, err)
			}
			gives := func(sql, want string) {
				t.Helper()
				got, err := collected(t, conn, sql)
				must(t, err)
				if strings.Join(got, " ") != want {
					t.Errorf("%s gives %q, want %s", sql, got, want)
				}
			}
			const read = "select email from people order by id"
			gives(read, "[redacted] [redacted]")
			run("begin")
			run("create temp table people on commit drop as select id, 'own' || id as email from people")
			gives(read, "own1 own2")
			run("commit")
			gives(read, "[redacted] [redacted]")
			run("create temp table people (id int, email text)")
			run("insert into people values (1, '[redacted]'), (2, '[redacted]')")
			gives(read, "[redacted] [redacted]")
			gives("select email from public.people order by id", "[redacted] [redacted]")
			run("begin")
			run("savepoint a")
			run("drop table people")
			gives(read, "[redacted] [redacted]")
			run("rollback to a")
			run("update people set email = 'mine'")
			gives(read, "mine mine")
			run("rollback")
			run("alter table people rename to others")
			gives(read, "[redacted] [redacted]")
			run("drop table others")
		})
	}
}

// What others change is seen by a session that has a catalog of its own.
func TestOwnCatalogFollowsOthers(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: peopleSQL, Policies: maskedEmails()})
	conn := pgtest.Connect(t, s.DSN("support-agent", "default_query_exec_mode", "simple_protocol"))
	other := pgtest.Connect(t, s.DSN("support-agent"))
	_, err := conn.Exec(t.Context(), "create temp table scratch (id int)")
	must(t, err)
	_, err = other.Exec(t.Context(), "create table later (word text)")
	must(t, err)
	_, err = conn.Exec(t.Context(), "insert into later values ('seen')")
	must(t, err)
	got, err := collected(t, conn, "select word from later")
	must(t, err)
	if strings.Join(got, " ") != "seen" {
		t.Errorf("the new table gives %q", got)
	}
}
