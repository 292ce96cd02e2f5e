package proxy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Random conversations sound the same straight and through the proxy, whatever is
// pipelined, fails or is named like something else.
func TestRandomConversations(t *testing.T) {
	s := startWireSidecar(t)
	reset := readScript(t, "reset.sql")
	const seeds = 25
	for seed := range uint64(seeds) {
		talk := randomTalk(rand.New(rand.NewPCG(seed, 1)), 40)
		s.Database.Exec(t, reset)
		straight, err := say(t, s.Database.DSN(), talk)
		if err != nil {
			t.Fatalf("seed %d, straight: %v", seed, err)
		}
		s.Database.Exec(t, reset)
		proxied, err := say(t, s.DSN("support-agent"), talk)
		if err != nil {
			t.Errorf("seed %d: %v\nheard straight:\n%s\nthrough the proxy:\n%s\nsaid:\n%s", seed, err,
				strings.Join(straight, "\n"), strings.Join(proxied, "\n"), described(talk))
			return
		}
		compare(t, straight, proxied)
		if t.Failed() {
			t.Fatalf("seed %d; said:\n%s", seed, described(talk))
		}
	}
}

// burst is what is written at once.
type burst []pgproto3.FrontendMessage

func randomTalk(r *rand.Rand, messages int) []burst {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var talk []burst
	var b burst
	for n := 0; n < messages; n++ {
		switch r.IntN(17) {
		case 0, 1:
			b = append(b, &pgproto3.Query{String: pick("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a", "COMMIT AND CHAIN",
				"SELECT 1", "SELECT 1/0", "", "SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 3", "BEGIN; SELECT 5", "INSERT INTO log (note) VALUES ('q') RETURNING id",
				"DEALLOCATE ALL", "DEALLOCATE s", "SET application_name = 'random'")})
		case 2, 3, 4:
			b = append(b, &pgproto3.Parse{Name: pick("", "", "s", "u"), Query: pick("SELECT 1", "SELECT 'two' AS two", "SELECT id FROM items ORDER BY id", "SELECT 1/0",
				"INSERT INTO log (note) VALUES ('p')", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "", "SHOW TimeZone", "UPDATE items SET price = 2")})
		case 5, 6, 7, 8:
			b = append(b, &pgproto3.Bind{PreparedStatement: pick("", "", "s", "u"), DestinationPortal: pick("", "", "p", "q")})
		case 9, 10, 11:
			b = append(b, &pgproto3.Execute{Portal: pick("", "", "p", "q"), MaxRows: uint32(r.IntN(3))})
		case 12:
			kind := pick("S", "P")
			b = append(b, &pgproto3.Describe{ObjectType: kind[0], Name: pick("", "s", "u", "p", "q")})
		case 13:
			kind := pick("S", "P")
			b = append(b, &pgproto3.Close{ObjectType: kind[0], Name: pick("", "s", "u", "p", "q")})
		case 14:
			b = append(b, &pgproto3.Flush{})
		case 15:
			b = append(b, &pgproto3.Sync{})
			if r.IntN(2) == 0 {
				talk, b = append(talk, b), nil
			}
		default:
			b = append(b, copyGroup(r)...)
		}
	}
	// However it stands: the end of COPY, of skipping, of the transaction.
	b = append(b, &pgproto3.CopyFail{Message: "over"}, &pgproto3.Sync{}, &pgproto3.Query{String: "ROLLBACK"},
		&pgproto3.Query{String: "SELECT note FROM log ORDER BY id"}, &pgproto3.Query{String: "SELECT 'the end'"})
	return append(talk, b)
}

// copyGroup is a whole COPY. Any other message during COPY would kill the session,
// so the statement is not left behind to be run again.
func copyGroup(r *rand.Rand) burst {
	end := pgproto3.FrontendMessage(&pgproto3.CopyDone{})
	if r.IntN(3) == 0 {
		end = &pgproto3.CopyFail{Message: "no"}
	}
	data := &pgproto3.CopyData{Data: []byte("copied\n")}
	if r.IntN(2) == 0 {
		return burst{&pgproto3.Query{String: "COPY log (note) FROM STDIN"}, data, &pgproto3.Sync{}, data, end}
	}
	b := burst{&pgproto3.Sync{}, &pgproto3.Parse{Query: "COPY log (note) FROM STDIN"}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	if r.IntN(2) == 0 {
		b = append(b, &pgproto3.Sync{})
	}
	return append(b, data, data, end, &pgproto3.Sync{}, &pgproto3.Parse{Query: "SELECT 9"}, &pgproto3.Sync{})
}

// say writes the bursts and returns what is heard up to the end.
func say(t testing.TB, dsn string, talk []burst) (heard []string, err error) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), dsn)
	must(t, err)
	c, err := conn.Hijack()
	must(t, err)
	defer func() { _ = c.Conn.Close() }()
	must(t, c.Conn.SetDeadline(time.Now().Add(conversationTime)))
	for _, b := range talk {
		var out []byte
		for _, m := range b {
			out, err = m.Encode(out)
			must(t, err)
		}
		if _, err := c.Conn.Write(out); err != nil {
			return heard, err
		}
	}
	for {
		m, err := c.Frontend.Receive()
		if err != nil {
			return heard, err
		}
		line := messageName(m)
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			line += " " + m.Code
			if m.Code == "26000" || m.Code == "34000" {
				line = "ErrorResponse 25P02" // in a failed transaction either may come first
			}
		case *pgproto3.NoticeResponse:
			line += " " + m.Code
		case *pgproto3.RowDescription, *pgproto3.ParameterDescription, *pgproto3.CopyInResponse:
		default:
			text, err := json.Marshal(m)
			must(t, err)
			line += " " + string(text)
		}
		heard = append(heard, line)
		if strings.Contains(line, "the end") {
			return heard, nil
		}
	}
}

func described(talk []burst) string {
	var out strings.Builder
	for _, b := range talk {
		for _, m := range b {
			text, _ := json.Marshal(m)
			fmt.Fprintf(&out, "%T %s\n", m, text)
		}
		out.WriteString("--\n")
	}
	return out.String()
}
