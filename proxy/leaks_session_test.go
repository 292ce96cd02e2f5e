package proxy_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// protocolMode is a way of sending a statement and of getting its results.
type protocolMode string

const (
	simpleMode protocolMode = "simple"
	textMode   protocolMode = "extended, text"
	binaryMode protocolMode = "extended, binary"
)

var protocolModes = []protocolMode{simpleMode, textMode, binaryMode}

// leakSession is a session of a client that writes down all it is told.
type leakSession struct {
	dsn   string
	admin *pgx.Conn            // the superuser's, of the same database
	conn  *pgconn.HijackedConn // nil before the first statement, and when it was closed
}

func (s *leakSession) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	conn, err := pgconn.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	s.conn, err = conn.Hijack()
	return err
}

func (s *leakSession) close() {
	if s.conn != nil {
		_ = s.conn.Conn.Close()
	}
	s.conn = nil
}

const leakTime = 20 * time.Second

// run sends the statements one by one and returns what came, one message a line.
func (s *leakSession) run(ctx context.Context, c *leakCase, mode protocolMode, statements []string) (transcript, error) {
	var t transcript
	for _, sql := range statements {
		if err := s.connect(ctx); err != nil {
			return t, fmt.Errorf("connecting: %w", err)
		}
		if err := s.conn.Conn.SetDeadline(time.Now().Add(leakTime)); err != nil {
			return t, err
		}
		f := s.conn.Frontend
		if mode == simpleMode || copiesIn(sql) {
			f.Send(&pgproto3.Query{String: sql})
		} else {
			sendExtended(f, c, mode, sql)
		}
		if err := f.Flush(); err != nil {
			return t, err
		}
		if err := s.hear(c, &t); err != nil {
			s.close()
			return t, fmt.Errorf("%s: %w", sql, err)
		}
	}
	return t, nil
}

// hear reads until the server is ready. A closed connection is part of what is heard.
func (s *leakSession) hear(c *leakCase, t *transcript) error {
	for {
		m, err := s.conn.Frontend.Receive()
		if err != nil {
			if s.conn.Conn.SetDeadline(time.Now()) == nil && strings.Contains(err.Error(), "timeout") {
				return err
			}
			s.close()
			t.add("closed")
			return nil
		}
		t.hear(m)
		switch m.(type) {
		case *pgproto3.CopyInResponse:
			f := s.conn.Frontend
			f.Send(&pgproto3.CopyData{Data: []byte(c.data)})
			f.Send(&pgproto3.CopyDone{})
			if err := f.Flush(); err != nil {
				return err
			}
		case *pgproto3.ReadyForQuery:
			return nil
		}
	}
}

func copiesIn(sql string) bool {
	return regexp.MustCompile(`(?is)^\s*copy\b.*\bfrom\s+stdin\b`).MatchString(sql)
}

func sendExtended(f *pgproto3.Frontend, c *leakCase, mode protocolMode, sql string) {
	bind := &pgproto3.Bind{}
	for i, p := range c.params {
		if strings.Contains(sql, fmt.Sprintf("$%d", i+1)) {
			bind.Parameters = append(bind.Parameters, []byte(p))
		}
	}
	if mode == binaryMode {
		bind.ResultFormatCodes = []int16{1}
	}
	f.Send(&pgproto3.Parse{Query: sql})
	f.Send(&pgproto3.Describe{ObjectType: 'S'})
	f.Send(bind)
	f.Send(&pgproto3.Execute{})
	f.Send(&pgproto3.Sync{})
}

// transcript is what a client is told.
type transcript struct {
	lines    []string
	refusals []string // messages of sallyport's own
}

func (t *transcript) add(format string, values ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, values...))
}

func (t *transcript) text() string { return strings.Join(t.lines, "\n") }

func (t *transcript) hear(m pgproto3.BackendMessage) {
	switch m := m.(type) {
	case *pgproto3.RowDescription:
		columns := make([]string, len(m.Fields))
		for i, f := range m.Fields {
			// Not where it comes from: a masked column comes from nowhere.
			columns[i] = fmt.Sprintf("%s %d %d %d", f.Name, f.DataTypeOID, f.DataTypeSize, f.TypeModifier)
		}
		t.add("columns %s", strings.Join(columns, ", "))
	case *pgproto3.DataRow:
		values := make([]string, len(m.Values))
		for i, v := range m.Values {
			if values[i] = fmt.Sprintf("%q", v); v == nil {
				values[i] = "NULL"
			}
		}
		t.add("row %s", strings.Join(values, " "))
	case *pgproto3.ErrorResponse:
		if own, ok := strings.CutPrefix(m.Message, "sallyport: "); ok {
			t.refusals = append(t.refusals, own)
		}
		t.add("error %s", report(m))
	case *pgproto3.NoticeResponse:
		e := pgproto3.ErrorResponse(*m)
		t.add("notice %s", report(&e))
	case *pgproto3.CommandComplete:
		t.add("done %s", m.CommandTag)
	case *pgproto3.CopyData:
		t.add("data %q", m.Data)
	case *pgproto3.CopyOutResponse, *pgproto3.CopyInResponse:
		t.add("%s", messageName(m))
	case *pgproto3.ParameterStatus:
		t.add("setting %s=%s", m.Name, m.Value)
	case *pgproto3.NotificationResponse:
		t.add("notification %s %s", m.Channel, m.Payload)
	case *pgproto3.ParameterDescription:
		t.add("parameters %v", m.ParameterOIDs)
	case *pgproto3.ReadyForQuery:
		t.add("ready %c", m.TxStatus)
	case *pgproto3.ParseComplete, *pgproto3.BindComplete, *pgproto3.CopyDone:
	default:
		t.add("%s", messageName(m))
	}
}

var decisionIDs = regexp.MustCompile(`"(decision_id|approval|grant)":"[^"]*"`)

// report is an error as a client sees it, without where in the server's source it
// was raised, and without what differs between two of the same.
func report(e *pgproto3.ErrorResponse) string {
	fields := []string{e.Severity, e.Code, e.Message}
	for _, f := range []struct{ name, value string }{
		{"detail", decisionIDs.ReplaceAllString(e.Detail, `"$1":""`)}, {"hint", e.Hint}, {"position", number(e.Position)},
		{"internal position", number(e.InternalPosition)}, {"internal query", e.InternalQuery}, {"where", e.Where},
		{"schema", e.SchemaName}, {"table", e.TableName}, {"column", e.ColumnName}, {"type", e.DataTypeName}, {"constraint", e.ConstraintName},
	} {
		if f.value != "" {
			fields = append(fields, f.name+": "+f.value)
		}
	}
	return strings.Join(fields, " | ")
}

func number(n int32) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// result is what a twin must give as well: columns, rows, tags, and of errors the
// code. Rows come in any order unless the statement orders them.
func (t *transcript) result(ordered bool) string {
	var rows, rest []string
	for _, line := range t.lines {
		kind, _, _ := strings.Cut(line, " ")
		switch kind {
		case "row", "data":
			rows = append(rows, line)
		case "columns", "done", "parameters":
			rest = append(rest, line)
		case "error":
			fields := strings.SplitN(line, " | ", 3)
			rest = append(rest, strings.Join(fields[:min(2, len(fields))], " "))
		}
	}
	if !ordered {
		slices.Sort(rows)
	}
	return strings.Join(append(rest, rows...), "\n")
}
