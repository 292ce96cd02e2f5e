package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/proxy"
)

const staffTables = `
	create table staff (id int primary key, name text, email text unique, pay int, cap int, boss int references staff, constraint capped check (pay <= cap), constraint named check (name <> 'nobody'));
	insert into staff values (1, 'Ada', 'ada@x.io', 10, 20, null), (2, 'Bob', 'bob@x.io', 15, 20, 1), (3, 'Cyd', null, null, 5, 1);
	create table badges (id int primary key, email text references staff (email), colour text)`

const staffMasks = `
statement.mask contains {"column": "public.staff.email", "with": {"partial": {"keep_first": 1}}}

statement.mask contains {"column": "public.staff.pay", "with": {"replace": {"value": 0}}}
`

var takingTheRisk = strings.ReplaceAll(staffMasks, `}}}`, `}}, "written": true}`)

func staffSidecar(t *testing.T, policy string) *sidecar {
	return startSidecar(t, sidecarOptions{SQL: staffTables,
		Policies: map[string]string{"policy/open_door/open_door.rego": policy, "bindings/open-door/data.yaml": openDoorBinding},
		Limits:   func(l *proxy.Limits) { l.ApprovalWait = 10 * time.Second }})
}

// TestMaskedWrites changes rows by what an agent sees of them, in each protocol.
func TestMaskedWrites(t *testing.T) {
	s := staffSidecar(t, openDoor+takingTheRisk)
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	modes := []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec}
	for _, mode := range modes {
		for _, c := range []struct{ sql, arg, want string }{
			{"update staff set name = name where email = $1 returning id, email", "a*******", "[[1 a*******]]"},
			{"update staff set name = name where email = $1 returning id, email", "ada@x.io", "[]"},
			{"update staff s set name = s.email where email like $1 returning *", "b%", "[[2 b******* b******* 0 20 1]]"},
			{"delete from staff using badges where staff.email <> $1 and badges.id = staff.id returning staff.*", "x", "[]"},
			{"with gone as (delete from staff where email = $1 returning *) select count(*)::int from gone", "bob@x.io", "[[0]]"},
			{"insert into badges (id, colour) select 100 + id, email from staff where email like $1 returning colour", "b%", "[[b*******]]"},
		} {
			tx, err := conn.Begin(t.Context())
			must(t, err)
			rows, err := tx.Query(t.Context(), c.sql, mode, c.arg)
			must(t, err)
			got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
			if fmt.Sprint(got) != c.want || err != nil {
				t.Errorf("%v: %s: %v, %v, want %s", mode, c.sql, got, err, c.want)
			}
			must(t, tx.Rollback(t.Context()))
		}
	}
}

// TestMaskedCopyAndExplain reads a table by COPY, and plans.
func TestMaskedCopyAndExplain(t *testing.T) {
	s := staffSidecar(t, openDoor+staffMasks)
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	var out bytes.Buffer
	tag, err := conn.PgConn().CopyTo(t.Context(), &out, "copy staff (email, id, pay) to stdout with csv header")
	if want := "email,id,pay\na*******,1,0\nb*******,2,0\n,3,\n"; err != nil || out.String() != want || tag.String() != "COPY 3" {
		t.Errorf("copied %q, %v, %v", out.String(), tag, err)
	}
	out.Reset()
	if _, err := conn.PgConn().CopyTo(t.Context(), &out, "copy staff to stdout (format binary)"); err != nil || bytes.Contains(out.Bytes(), []byte("ada@")) || !bytes.Contains(out.Bytes(), []byte("Ada")) {
		t.Errorf("copied %q, %v", out.String(), err)
	}
	explain := func(sql string) string {
		rows, _ := conn.Query(t.Context(), sql, pgx.QueryExecModeSimpleProtocol) // its error comes with the rows
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err.Error()
		}
		return strings.Join(lines, "\n")
	}
	for sql, want := range map[string]string{
		"explain select email from staff":                                     "Seq Scan on staff t",
		"explain (format text) update staff set name = 'x' where email = 'x'": "Update on staff",
		"explain select id from staff":                                        "cost=",
		"explain analyze select email from staff":                             "column public.staff.email is masked and may not be read by EXPLAIN ANALYZE",
	} {
		got := explain(sql)
		if !strings.Contains(got, want) || want != "cost=" && (strings.Contains(got, "cost=") || strings.Contains(got, "rows=")) {
			t.Errorf("%s: %s", sql, got)
		}
	}
}

// TestErrorsOfMaskedWrites fails writes by constraints: what failed is told, not by
// which values.
func TestErrorsOfMaskedWrites(t *testing.T) {
	s := staffSidecar(t, openDoor+takingTheRisk)
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	for _, sql := range []string{
		"update staff set name = 'nobody' where id = 1",
		"insert into staff values (1, 'x')",
		"insert into staff values (4, 'x', 'ada@x.io')",
		"insert into badges values (1, 'no@x.io')",
		"update staff set cap = 1 where id = 2",
		"delete from staff where id = 1",
		"insert into staff select id + 10, 'nobody', email, pay, cap from staff",
		"update staff set boss = 99 where email like 'a%' returning *",
		"with x as (update staff set cap = 0 returning *) select * from x",
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeDescribeExec} {
			_, err := conn.Exec(t.Context(), sql, mode)
			var e *pgconn.PgError
			if !errors.As(err, &e) || !strings.HasPrefix(e.Code, "23") {
				t.Fatalf("%s: %v", sql, err)
			}
			if e.Detail != "" && !strings.HasPrefix(e.Detail, "{") || e.Where != "" || strings.Contains(fmt.Sprintf("%+v", *e), "@") {
				t.Errorf("%s: %+v", sql, *e)
			}
		}
	}
}

// TestWritesThatTell refuses writes by which an agent could try values, unless a
// person sees them first.
func TestWritesThatTell(t *testing.T) {
	s := staffSidecar(t, openDoor+staffMasks)
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	for sql, want := range map[string]string{
		"insert into staff (id, email) values (9, 'ada@x.io')":                                "column public.staff.email is masked and unique index staff_email_key would tell",
		"insert into staff (id, email) values (9, 'ada@x.io') on conflict (email) do nothing": "column public.staff.email is masked and unique index staff_email_key would tell",
		"update staff set cap = 12 where id = 1":                                              "column public.staff.pay is masked and constraint capped would tell",
		"insert into badges values (1, 'ada@x.io')":                                           "column public.staff.email is masked and foreign key badges_email_fkey would tell",
		"prepare p as select 1":                                                               "",
		"insert into staff (id, name, pay, cap) values (9, 'Eve', 1, 2)":                      "",
		"insert into badges values (1, null, 'red')":                                          "",
		"update badges set colour = 'blue'":                                                   "",
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeDescribeExec} {
			tx, err := conn.Begin(t.Context())
			must(t, err)
			_, err = tx.Exec(t.Context(), sql, mode)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v, want %q", sql, err, want)
			}
			must(t, tx.Rollback(context.WithoutCancel(t.Context())))
			must(t, second(conn.Exec(t.Context(), "deallocate all", pgx.QueryExecModeSimpleProtocol)))
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestSeenWritesMayTell holds a write that would tell for a person, who lets it run.
func TestSeenWritesMayTell(t *testing.T) {
	seen := strings.ReplaceAll(seenFirst, "public.items", "public.staff")
	s := staffSidecar(t, seen+staffMasks)
	c := s.agent()
	c.send(&pgproto3.Query{String: "insert into staff (id, email) values (9, 'eve@x.io')"})
	id := c.held()
	_, err := s.Approvals.Decide(t.Context(), id, s.Principal("bob"), true, "")
	must(t, err)
	if heard, e := c.until("ReadyForQuery"); strings.Join(heard, ",") != "CommandComplete,ReadyForQuery I" {
		t.Errorf("heard %v, %+v", heard, e)
	}
}
