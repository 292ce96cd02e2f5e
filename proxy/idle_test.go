package proxy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/proxy"
)

func TestIdleSessionIsEnded(t *testing.T) {
	s := startSidecar(t, sidecarOptions{Limits: func(l *proxy.Limits) { l.IdleTimeout = 300 * time.Millisecond }})
	c := s.agent()
	// A statement that takes longer is not idleness.
	c.send(&pgproto3.Query{String: "SELECT pg_sleep(0.6)"})
	if heard, _ := c.until("ReadyForQuery"); strings.Join(heard, ",") != "RowDescription,DataRow,CommandComplete,ReadyForQuery I" {
		t.Errorf("heard %v", heard)
	}
	heard, e := c.until("nothing")
	refusal(t, e, "FATAL", "57P05", "idle")
	if got := strings.Join(heard, " "); got != "ErrorResponse 57P05 closed" {
		t.Errorf("heard %s", got)
	}
}

func TestLoginTakesTooLong(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{DSN: dsn, Limits: func(l *proxy.Limits) { l.LoginTimeout = 100 * time.Millisecond }})
	silent, half := s.raw(), s.raw()
	half.write(startupPacket(protocol30, "user", "u", "database", "prod-replica"))
	for _, c := range []*rawClient{silent, half} {
		if heard, _ := c.until("nothing"); heard[len(heard)-1] != "closed" {
			t.Errorf("heard %v", heard)
		}
	}
	if n := r.Connections(); n != 0 {
		t.Errorf("the server was connected to %d times", n)
	}
}
