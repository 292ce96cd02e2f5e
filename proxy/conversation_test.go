package proxy_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A conversation is a file of steps, one a line:
//
//	send Type {json}     put a message into the buffer (CopyData takes a string)
//	twin Type {json}     what is sent in place of the message before when there is
//	                     no proxy: one that the server itself rejects
//	raw "bytes"          put bytes into the buffer
//	flush                write the buffer
//	until Type [n]       write the buffer, read until the n-th message of the type
//	receive [n]          write the buffer, read n messages
//	closed               write the buffer, read until the other side closes
//	gone                 the same, whatever comes before
//	other SQL            somebody else runs SQL
//	running TEXT         wait until the server runs a statement with TEXT in it
//	cancel               ask for cancelling, by a connection of its own
//	sqlstate CODE        the last read ended in this error, by whomever
//	error CODE TEXT      the last read ended in this error, told by the proxy
//
// Unwritten bytes are sent in one write, so that they arrive together.
type step struct {
	line int
	verb string
	rest string
}

func readConversation(t testing.TB, path string) []step {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	var steps []step
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		steps = append(steps, step{line: i + 1, verb: verb, rest: strings.TrimSpace(rest)})
	}
	return steps
}

func conversations(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "testdata", "wire", pattern))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no conversations match %s", pattern)
	}
	return files
}

// talker plays the client's part of a conversation and writes down what it hears.
type talker struct {
	t       testing.TB
	server  string // DSN of the server itself
	proxied bool
	conn    *pgconn.HijackedConn
	out     []byte
	replace int // where in out the last message begins
	heard   []string
	last    *pgproto3.ErrorResponse
}

const conversationTime = 10 * time.Second

func newTalker(t testing.TB, dsn string, proxied bool) *talker {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), dsn)
	must(t, err)
	hijacked, err := conn.Hijack()
	must(t, err)
	t.Cleanup(func() { _ = hijacked.Conn.Close() })
	w := &talker{t: t, server: dsn, proxied: proxied, conn: hijacked}
	must(t, hijacked.Conn.SetDeadline(time.Now().Add(conversationTime)))
	return w
}

// play goes through the steps and returns what was heard, one message a line.
func (w *talker) play(steps []step) []string {
	w.t.Helper()
	for _, s := range steps {
		if err := w.step(s); err != nil {
			w.t.Fatalf("line %d: %s %s: %v\nheard so far, %s:\n%s", s.line, s.verb, s.rest, err, w.side(), strings.Join(w.heard, "\n"))
		}
	}
	return w.heard
}

func (w *talker) side() string {
	if w.proxied {
		return "through the proxy"
	}
	return "straight"
}

func (w *talker) step(s step) error {
	switch s.verb {
	case "send":
		w.replace = len(w.out)
		return w.send(s.rest)
	case "twin":
		if w.proxied {
			return nil
		}
		w.out = w.out[:w.replace]
		return w.send(s.rest)
	case "raw":
		bytes, err := strconv.Unquote(s.rest)
		w.out = append(w.out, bytes...)
		return err
	case "flush":
		return w.flush()
	case "until":
		typ, n := numbered(s.rest)
		return w.until(typ, n)
	case "receive":
		n, err := strconv.Atoi(s.rest)
		if err != nil {
			n = 1
		}
		return w.read(func(string) bool { n--; return n == 0 })
	case "closed":
		return w.closed()
	case "gone":
		before := len(w.heard)
		err := w.closed()
		w.heard = w.heard[:before]
		return err
	case "other":
		return w.other(s.rest)
	case "running":
		return w.running(s.rest)
	case "cancel":
		return w.cancel()
	case "sqlstate":
		if w.last == nil || w.last.Code != s.rest {
			return fmt.Errorf("the error is %+v", w.last)
		}
		return nil
	case "error":
		code, text, _ := strings.Cut(s.rest, " ")
		return w.refused(code, text)
	default:
		return errors.New("no such step")
	}
}

func numbered(s string) (typ string, n int) {
	typ, count, ok := strings.Cut(s, " ")
	n = 1
	if ok {
		n, _ = strconv.Atoi(count)
	}
	return typ, n
}

var clientMessages = map[string]reflect.Type{}

func init() {
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Bind{}, &pgproto3.Close{}, &pgproto3.CopyData{}, &pgproto3.CopyDone{},
		&pgproto3.CopyFail{}, &pgproto3.Describe{}, &pgproto3.Execute{}, &pgproto3.Flush{}, &pgproto3.FunctionCall{}, &pgproto3.Parse{},
		&pgproto3.Query{}, &pgproto3.Sync{}, &pgproto3.Terminate{}} {
		typ := reflect.TypeOf(m).Elem()
		clientMessages[typ.Name()] = typ
	}
}

func (w *talker) send(what string) error {
	name, body, _ := strings.Cut(what, " ")
	typ, ok := clientMessages[name]
	if !ok {
		return fmt.Errorf("no client message %q", name)
	}
	m := reflect.New(typ).Interface().(pgproto3.FrontendMessage)
	if data, is := m.(*pgproto3.CopyData); is {
		text, err := strconv.Unquote(body)
		if err != nil {
			return err
		}
		data.Data = []byte(text)
	} else if body != "" {
		if err := json.Unmarshal([]byte(body), m); err != nil {
			return err
		}
	}
	var err error
	w.out, err = m.Encode(w.out)
	return err
}

func (w *talker) flush() error {
	out := w.out
	w.out = nil
	if len(out) == 0 {
		return nil
	}
	_, err := w.conn.Conn.Write(out)
	return err
}

func (w *talker) until(typ string, n int) error {
	return w.read(func(got string) bool {
		if got == typ {
			n--
		}
		return n == 0
	})
}

// read writes what waits and reads until enough says so.
func (w *talker) read(enough func(typ string) bool) error {
	if err := w.flush(); err != nil {
		return err
	}
	for {
		m, err := w.conn.Frontend.Receive()
		if err != nil {
			return err
		}
		w.hear(m)
		if enough(messageName(m)) {
			return nil
		}
	}
}

func (w *talker) closed() error {
	if err := w.flush(); err != nil {
		return err
	}
	for {
		m, err := w.conn.Frontend.Receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
			w.heard = append(w.heard, "closed")
			return nil
		}
		w.hear(m)
	}
}

func messageName(m pgproto3.BackendMessage) string { return reflect.TypeOf(m).Elem().Name() }

// firstOID is where OIDs of what users make begin; they differ between runs.
const firstOID = 16384

func (w *talker) hear(m pgproto3.BackendMessage) {
	switch m := m.(type) {
	case *pgproto3.ErrorResponse:
		copied := *m
		w.last = &copied
	case *pgproto3.NotificationResponse:
		m.PID = 0
	case *pgproto3.RowDescription:
		for i := range m.Fields {
			if m.Fields[i].TableOID >= firstOID {
				m.Fields[i].TableOID = firstOID
			}
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(text) > 4000 {
		text = fmt.Appendf(nil, "%d bytes, sha256 %x", len(text), sha256.Sum256(text))
	}
	w.heard = append(w.heard, messageName(m)+" "+string(text))
}

func (w *talker) other(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), conversationTime)
	defer cancel()
	conn, err := pgconn.Connect(ctx, w.server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql).ReadAll()
	return err
}

func (w *talker) running(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), conversationTime)
	defer cancel()
	return awaitActivity(ctx, w.server, "state = 'active' AND query LIKE '%' || $1 || '%'", text)
}

// awaitActivity asks the server until one of its other sessions is as wanted.
func awaitActivity(ctx context.Context, dsn, where string, args ...any) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for {
		var n int
		err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "+where, args...).Scan(&n)
		if err != nil {
			return fmt.Errorf("waiting for a session where %s %v: %w", where, args, err)
		}
		if n > 0 {
			return nil
		}
	}
}

func (w *talker) cancel() error {
	if err := w.flush(); err != nil {
		return err
	}
	conn, err := pgconn.Construct(w.conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), conversationTime)
	defer cancel()
	return conn.CancelRequest(ctx)
}

// refused checks what the proxy said; straight, the server has said something else.
func (w *talker) refused(code, text string) error {
	e := w.last
	w.last = nil
	switch {
	case e == nil:
		return errors.New("no error came")
	case !w.proxied:
		return nil
	}
	return checkRefusal(e.Code, e.Message, e.Detail, code, text)
}

// readScript reads a file of testdata/wire.
func readScript(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "wire", name))
	must(t, err)
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(bufio.NewReader(f))
	must(t, err)
	return string(text)
}
