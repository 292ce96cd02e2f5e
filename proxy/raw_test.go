package proxy_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// startupPacket is a message without type byte, with names and values.
func startupPacket(code uint32, params ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, code)
	for _, p := range params {
		body = append(append(body, p...), 0)
	}
	if len(params) > 0 {
		body = append(body, 0)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

func readInto(t testing.TB, r io.Reader, buf []byte) bool {
	t.Helper()
	_, err := io.ReadFull(r, buf)
	return err == nil
}

// rawClient speaks the protocol by hand from the first byte.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	in   *pgproto3.Frontend
	Key  *pgproto3.BackendKeyData
}

func (s *sidecar) raw() *rawClient {
	s.t.Helper()
	conn := s.Dial()
	must(s.t, conn.SetDeadline(time.Now().Add(conversationTime)))
	return &rawClient{t: s.t, conn: conn, in: pgproto3.NewFrontend(conn, conn)}
}

func (c *rawClient) write(b []byte) {
	c.t.Helper()
	_, err := c.conn.Write(b)
	must(c.t, err)
}

func (c *rawClient) send(messages ...pgproto3.FrontendMessage) {
	c.t.Helper()
	for _, m := range messages {
		c.in.Send(m)
	}
	must(c.t, c.in.Flush())
}

// login sends startup packet and token, and reads until ready or refused.
func (c *rawClient) login(code uint32, token string, params ...string) *pgproto3.ErrorResponse {
	c.t.Helper()
	c.write(startupPacket(code, append([]string{"user", "agent", "database", "prod-replica"}, params...)...))
	for {
		m, err := c.in.Receive()
		must(c.t, err)
		switch m := m.(type) {
		case *pgproto3.AuthenticationCleartextPassword:
			c.send(&pgproto3.PasswordMessage{Password: token})
		case *pgproto3.BackendKeyData:
			c.Key = &pgproto3.BackendKeyData{ProcessID: m.ProcessID, SecretKey: slices.Clone(m.SecretKey)}
		case *pgproto3.ErrorResponse:
			copied := *m
			return &copied
		case *pgproto3.ReadyForQuery:
			return nil
		}
	}
}

// until reads up to a message of the type, or the end, and names what came. Of
// errors it gives the code, of ReadyForQuery the status.
func (c *rawClient) until(typ string) (heard []string, last *pgproto3.ErrorResponse) {
	c.t.Helper()
	for {
		m, err := c.in.Receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
				c.t.Fatalf("after %v: %v", heard, err)
			}
			return append(heard, "closed"), last
		}
		name := messageName(m)
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			copied := *m
			last, name = &copied, name+" "+m.Code
		case *pgproto3.ReadyForQuery:
			name += " " + string(m.TxStatus)
		case *pgproto3.NoticeResponse:
			name += " " + m.Message
		}
		heard = append(heard, name)
		if messageName(m) == typ {
			return heard, last
		}
	}
}

// refusal checks an error that a raw client got.
func refusal(t testing.TB, e *pgproto3.ErrorResponse, severity, code, text string) {
	t.Helper()
	if e == nil {
		t.Fatalf("nothing was refused, want %s %q", code, text)
		return
	}
	if err := checkRefusal(e.Code, e.Message, e.Detail, code, text); err != nil || e.Severity != severity {
		t.Errorf("%s: %v", e.Severity, err)
	}
}

// audited reads the records of the audit log of one type.
func (s *sidecar) audited(typ string) []map[string]any {
	s.t.Helper()
	var out []map[string]any
	for line := range strings.SplitSeq(s.Records(), "\n") {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["type"] == typ {
			out = append(out, record)
		}
	}
	return out
}
