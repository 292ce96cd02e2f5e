package proxy_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/pgtest"
)

func TestSmoke(t *testing.T) {
	s := startSidecar(t, sidecarOptions{SQL: "create table customers(id int primary key, email text); insert into customers values (1,'a@b.c'),(2,'d@e.f')"})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	rows, err := conn.Query(t.Context(), "select id, email from customers where id = $1", 2)
	must(t, err)
	for rows.Next() {
		v, err := rows.Values()
		must(t, err)
		t.Log(v)
	}
	must(t, rows.Err())
	t.Log(s.Records())
}
