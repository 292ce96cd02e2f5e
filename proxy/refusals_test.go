package proxy_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/internal/devenv"
	"github.com/sallyport/sallyport/internal/pgtest"
	"github.com/sallyport/sallyport/proxy"
)

const protocol30 = 3 << 16

// Who is not let in does not even cause a connection to the server.
func TestRefusedAtTheDoor(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{DSN: dsn, Limits: func(l *proxy.Limits) { l.PreauthBytes = 20 << 10 }})
	other := &sidecar{t: t}
	other.startIssuer()
	good := s.Token("support-agent")
	for name, c := range map[string]struct {
		token      string
		params     []string
		code, text string
	}{
		"no token":                {"", nil, "28000", ""},
		"not a token":             {"nonsense", nil, "28000", ""},
		"expired":                 {s.Issuer.Mint(devenv.MintOptions{Client: "support-agent", TTL: -time.Minute}), nil, "28000", "expired"},
		"for another audience":    {s.Issuer.Mint(devenv.MintOptions{Client: "support-agent", Audience: "api://another"}), nil, "28000", "audience"},
		"of another issuer":       {other.Token("support-agent"), nil, "28000", ""},
		"signed by another key":   {forged(good, other.Token("support-agent")), nil, "28000", ""},
		"not signed":              {good[:strings.LastIndex(good, ".")+1], nil, "28000", ""},
		"larger than allowed":     {strings.Repeat("x", 20<<10), nil, "54000", "too long"},
		"unknown connection":      {good, []string{"database", "nowhere"}, "3D000", `connection "nowhere" does not exist`},
		"replication":             {good, []string{"replication", "database"}, "0A000", "replication"},
		"a parameter":             {good, []string{"work_mem", "1GB"}, "42501", `parameter "work_mem"`},
		"a role":                  {good, []string{"role", "postgres"}, "42501", `parameter "role"`},
		"a role in the options":   {good, []string{"options", "-c role=postgres"}, "42501", `parameter "role"`},
		"a role, otherwise spelt": {good, []string{"options", "--ROLE=postgres"}, "42501", `parameter "role"`},
		"another option":          {good, []string{"options", "-f s"}, "42501", "option"},
		"an option without value": {good, []string{"options", "-c work_mem"}, "42501", "without a value"},
		"another encoding":        {good, []string{"client_encoding", "LATIN1"}, "0A000", "UTF8"},
		"backslashes in strings":  {good, []string{"options", "-c standard_conforming_strings=off"}, "0A000", "standard_conforming_strings"},
		"no user":                 {good, []string{"user", ""}, "28000", "no user"},
		"a path that is no path":  {good, []string{"options", `-c search_path="open`}, "22023", "search_path"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			raw := s.raw()
			e := raw.login(protocol30, c.token, c.params...)
			refusal(t, e, "FATAL", c.code, c.text)
			if heard, _ := raw.until("nothing"); strings.Join(heard, " ") != "closed" {
				t.Errorf("afterwards %v", heard)
			}
			if strings.Contains(fmt.Sprint(e), good[:40]) {
				t.Error("the answer quotes the token")
			}
		})
	}
	if n := r.Connections(); n != 0 {
		t.Errorf("the server was connected to %d times", n)
	}
	if strings.Contains(s.Records(), good[:40]) || strings.Contains(s.Records(), good[strings.LastIndex(good, "."):]) {
		t.Error("a token is in the record")
	}
	if got := len(s.audited("session.refused")); got < 9 {
		t.Errorf("%d refusals are recorded", got)
	}
}

// forged has the claims of one token and the signature of another.
func forged(claims, signature string) string {
	return claims[:strings.LastIndex(claims, ".")] + signature[strings.LastIndex(signature, "."):]
}

// What is no startup of the protocol is turned away without a connection to the server.
func TestNoStartup(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{DSN: dsn})
	for name, c := range map[string]struct {
		in   string
		want string
	}{
		"HTTP":                   {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "ErrorResponse 08P01 closed"},
		"zeros":                  {string(make([]byte, 64)), "ErrorResponse 08P01 closed"},
		"a packet of 20000":      {string(startupPacket(protocol30, "user", strings.Repeat("u", 20000))), "ErrorResponse 08P01 closed"},
		"cut parameters":         {"\x00\x00\x00\x0d\x00\x03\x00\x00user\x00", "ErrorResponse 08P01 closed"},
		"protocol 2":             {string(startupPacket(2<<16, "user", "u")), "ErrorResponse 0A000 closed"},
		"protocol 4":             {string(startupPacket(4<<16, "user", "u")), "ErrorResponse 0A000 closed"},
		"a Query for password":   {string(startupPacket(protocol30, "user", "u", "database", "prod-replica")) + "Q\x00\x00\x00\x0dSELECT 1\x00", "AuthenticationCleartextPassword ErrorResponse 08P01 closed"},
		"a cancel of nobody":     {string(startupPacket(80877102)) + "", "closed"},
		"a password without end": {string(startupPacket(protocol30, "user", "u", "database", "prod-replica")) + "p\x00\x00\x00\x05x", "AuthenticationCleartextPassword ErrorResponse 08P01 closed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			raw := s.raw()
			in := []byte(c.in)
			if strings.HasPrefix(name, "a cancel") {
				in = append(binary.BigEndian.AppendUint32(nil, 16), "\x04\xd2\x16\x2e\x00\x00\x00\x07abcd"...)
			}
			raw.write(in)
			if heard, _ := raw.until("nothing"); strings.Join(heard, " ") != c.want {
				t.Errorf("heard %v, want %s", heard, c.want)
			}
		})
	}
	if n := r.Connections(); n != 0 {
		t.Errorf("the server was connected to %d times", n)
	}
}

func TestProtocolVersions(t *testing.T) {
	s := startSidecar(t, sidecarOptions{})
	for name, c := range map[string]struct {
		code    uint32
		params  []string
		key     int
		answers uint32
	}{
		"3.0":              {protocol30, nil, 4, 0},
		"3.2":              {protocol30 | 2, nil, 32, 0},
		"3.9":              {protocol30 | 9, nil, 32, protocol30 | 2},
		"with options":     {protocol30 | 2, []string{"_pq_.test_protocol_negotiation", ""}, 32, protocol30 | 2},
		"grease":           {protocol30 | 9999, []string{"_pq_.test_protocol_negotiation", ""}, 32, protocol30 | 2},
		"3.1 is 3.0 to us": {protocol30 | 1, nil, 4, protocol30},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			raw := s.raw()
			raw.write(startupPacket(c.code, append([]string{"user", "agent", "database", "prod-replica"}, c.params...)...))
			head := make([]byte, 13)
			if c.answers != 0 {
				if !readInto(t, raw.conn, head) || head[0] != 'v' || binary.BigEndian.Uint32(head[5:]) != c.answers || int(binary.BigEndian.Uint32(head[9:])) != len(c.params)/2 {
					t.Fatalf("the answer is %q", head)
				}
				if rest := int(binary.BigEndian.Uint32(head[1:])) - 12; rest > 0 && !readInto(t, raw.conn, make([]byte, rest)) {
					t.Fatal("the answer is cut")
				}
			}
			m, err := raw.in.Receive()
			if _, asks := m.(*pgproto3.AuthenticationCleartextPassword); !asks {
				t.Fatalf("got %+v, %v", m, err)
			}
			raw.send(&pgproto3.PasswordMessage{Password: s.Token("support-agent")})
			for {
				m, err := raw.in.Receive()
				must(t, err)
				if k, is := m.(*pgproto3.BackendKeyData); is && len(k.SecretKey) != c.key {
					t.Errorf("the key has %d bytes, want %d", len(k.SecretKey), c.key)
				}
				if _, ready := m.(*pgproto3.ReadyForQuery); ready {
					break
				}
			}
		})
	}
}

func TestEncryptionRequestsInClear(t *testing.T) {
	s := startSidecar(t, sidecarOptions{})
	raw := s.raw()
	for _, code := range []uint32{80877104, 80877103} {
		raw.write(startupPacket(code))
		if answer := make([]byte, 1); !readInto(t, raw.conn, answer) || answer[0] != 'N' {
			t.Fatalf("request %d is answered %q", code, answer)
		}
	}
	if e := raw.login(protocol30, s.Token("support-agent")); e != nil {
		t.Errorf("%+v", e)
	}
}

func TestNoPolicy(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{DSN: dsn, Policies: map[string]string{"policy/broken/broken.rego": "package policy.broken\n\nstatement.allow := "}})
	_, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
	refusedAs(t, err, "57P03", "no policy is loaded")
	if n := r.Connections(); n != 0 {
		t.Errorf("the server was connected to %d times", n)
	}
}

func TestDeadUpstream(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{DSN: dsn})
	idle, busy := s.raw(), s.raw()
	for _, c := range []*rawClient{idle, busy} {
		if e := c.login(protocol30, s.Token("support-agent")); e != nil {
			t.Fatalf("%+v", e)
		}
	}
	busy.send(&pgproto3.Query{String: "SELECT pg_sleep(60), 'until it dies'"})
	ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
	defer cancel()
	must(t, awaitActivity(ctx, s.Database.DSN(), "state = 'active' AND query LIKE '%until it dies%'"))
	r.Kill()
	for _, c := range []*rawClient{idle, busy} {
		heard, e := c.until("nothing")
		refusal(t, e, "FATAL", "08006", "connection to the database was lost")
		if got := strings.Join(heard, " "); got != "ErrorResponse 08006 closed" {
			t.Errorf("heard %s", got)
		}
	}
	_, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
	refusedAs(t, err, "08006", "cannot be reached")
	if strings.Contains(err.Error(), r.listener.Addr().String()) {
		t.Errorf("the client is told where the database is: %v", err)
	}
	eventually(t, "both sessions are recorded as closed", func() bool { return len(s.audited("session.closed")) == 2 })
}

// Without room for the record nothing runs, and nobody is let in; with room it goes on.
func TestNoRecordNoRun(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{DSN: dsn})
	conn := pgtest.Connect(t, s.DSN("support-agent"))
	// The record is made longer than any other file that this process writes (the
	// test runner has one of its own), so that only it has no room.
	_, err := conn.Exec(t.Context(), "SELECT 1 /* "+strings.Repeat("long ", 180_000)+"*/", pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	free := fillDisk(t, s.Audit)
	for _, statement := range []string{"SELECT 'unrecorded simple'", "SELECT 'unrecorded extended', $1::int"} {
		args := []any{}
		if strings.Contains(statement, "$1") {
			args = append(args, 1)
		}
		_, err := conn.Exec(t.Context(), statement, args...)
		refusedAs(t, err, "58030", "could not be recorded")
	}
	_, err = conn.Exec(t.Context(), "BEGIN")
	refusedAs(t, err, "58030", "could not be recorded")
	_, err = pgconn.Connect(t.Context(), s.DSN("support-agent"))
	refusedAs(t, err, "58030", "could not be recorded")
	free()
	if got := one[string](t, conn, "SELECT 'recorded'"); got != "recorded" {
		t.Errorf("got %q", got)
	}
	// A statement is prepared before it is decided to run: text may pass, Execute may not.
	if r.Sent("unrecorded simple") {
		t.Error("a statement was sent that is not in the record")
	}
}

// fillDisk lets no file of this process grow beyond the size that this one has, as a
// full disk does.
func fillDisk(t testing.TB, path string) (free func()) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	var before syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(info.Size()), Max: before.Max}))
	free = func() { must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)) }
	t.Cleanup(free)
	return free
}

func TestMessageLimit(t *testing.T) {
	r, dsn := throughRelay(t)
	s := startSidecar(t, sidecarOptions{SQL: "CREATE TABLE log (note text)", DSN: dsn, Limits: func(l *proxy.Limits) { l.MessageBytes = 50_000 }})
	raw := s.raw()
	if e := raw.login(protocol30, s.Token("support-agent")); e != nil {
		t.Fatalf("%+v", e)
	}
	// Data pass in pieces of any size; what is kept whole does not.
	raw.send(&pgproto3.Query{String: "COPY log FROM STDIN"})
	raw.until("CopyInResponse")
	line := append([]byte(strings.Repeat("d", 200_000)), '\n')
	raw.send(&pgproto3.CopyData{Data: line}, &pgproto3.CopyDone{})
	if heard, _ := raw.until("ReadyForQuery"); strings.Join(heard, ",") != "CommandComplete,ReadyForQuery I" {
		t.Errorf("COPY: %v", heard)
	}
	raw.send(&pgproto3.Query{String: "SELECT 1" + strings.Repeat(" ", 60_000)})
	heard, e := raw.until("nothing")
	refusal(t, e, "FATAL", "54000", "exceeds the limit")
	if got := strings.Join(heard, " "); got != "ErrorResponse 54000 closed" {
		t.Errorf("heard %s", got)
	}
	if r.Sent(strings.Repeat(" ", 1000)) {
		t.Error("the message was forwarded")
	}
	for name, bytes := range map[string]string{"an impossible length": "Q\x00\x00\x00\x03", "an unknown type": "!\x00\x00\x00\x04",
		"a password": "p\x00\x00\x00\x05\x00", "a malformed Parse": "P\x00\x00\x00\x05x", "a malformed Bind": "B\x00\x00\x00\x05\x00",
		"a Query with a zero byte": "Q\x00\x00\x00\x08a\x00b\x00"} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			raw := s.raw()
			if e := raw.login(protocol30, s.Token("support-agent")); e != nil {
				t.Fatalf("%+v", e)
			}
			raw.write([]byte(bytes))
			heard, e := raw.until("nothing")
			refusal(t, e, "FATAL", "08P01", "")
			if got := strings.Join(heard, " "); got != "ErrorResponse 08P01 closed" {
				t.Errorf("heard %s", got)
			}
		})
	}
}

func TestTooManySessions(t *testing.T) {
	s := startSidecar(t, sidecarOptions{Limits: func(l *proxy.Limits) { l.Sessions = 2 }})
	first := pgtest.Connect(t, s.DSN("support-agent"))
	pgtest.Connect(t, s.DSN("support-agent"))
	_, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
	refusedAs(t, err, "53300", "too many sessions")
	must(t, first.Close(t.Context()))
	eventually(t, "there is room for another", func() bool {
		conn, err := pgconn.Connect(t.Context(), s.DSN("support-agent"))
		var pg *pgconn.PgError
		if err != nil && (!errors.As(err, &pg) || pg.Code != "53300") {
			t.Fatal(err)
		}
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
}

// Cancel keys of others cancel nothing.
func TestCancelNeedsTheKey(t *testing.T) {
	s := startSidecar(t, sidecarOptions{})
	raw := s.raw()
	if e := raw.login(protocol30, s.Token("support-agent")); e != nil {
		t.Fatalf("%+v", e)
	}
	raw.send(&pgproto3.Query{String: "SELECT pg_sleep(60), 'guarded'"})
	ctx, cancel := context.WithTimeout(t.Context(), conversationTime)
	defer cancel()
	must(t, awaitActivity(ctx, s.Database.DSN(), "state = 'active' AND query LIKE '%guarded%'"))
	cancelWith := func(secret []byte) {
		b, err := (&pgproto3.CancelRequest{ProcessID: raw.Key.ProcessID, SecretKey: secret}).Encode(nil)
		must(t, err)
		c := s.raw()
		c.write(b)
		c.until("nothing")
	}
	wrong := append([]byte(nil), raw.Key.SecretKey...)
	wrong[3] ^= 1
	cancelWith(wrong)
	cancelWith(append(raw.Key.SecretKey, 0))
	must(t, awaitActivity(ctx, s.Database.DSN(), "state = 'active' AND query LIKE '%guarded%'"))
	cancelWith(raw.Key.SecretKey)
	if heard, _ := raw.until("ReadyForQuery"); !strings.Contains(strings.Join(heard, " "), "ErrorResponse 57014 ReadyForQuery I") {
		t.Errorf("heard %v", heard)
	}
}
