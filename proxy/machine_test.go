package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/internal/query"
	"github.com/sallyport/sallyport/rego"
)

// drive runs a machine against a model of the server, deciding by the statement's
// text: what contains "deny" is refused, "call" is answered, all else permitted.
type drive struct {
	t       testing.TB
	m       *machine
	permits [][]byte // frames permitted, in order
	server  modelServer
	sent    []byte // all that reached the server
	got     []byte // all that reached the client
}

func newDrive(t testing.TB) *drive {
	return &drive{t: t, m: newMachine([]string{"public"}, func() time.Time { return time.Unix(0, 0) }), server: modelServer{tx: txIdle}}
}

func (d *drive) decide(j *job) verdict {
	sql := j.text()
	jd := &judged{sql: sql, forwarded: sql, text: &text{}, effect: rego.Allow}
	if j.stmt != nil {
		jd = j.stmt.judged
	}
	switch {
	case strings.Contains(sql, "deny"), j.kind == jobFunction:
		return verdict{refusal: &Refusal{Code: codeDenied, Message: "no", Detail: Detail{DecisionID: "d-1"}}}
	case strings.Contains(sql, "call"):
		jd.call = &call{name: "status"}
		return verdict{outcome: answered, judged: jd, rows: &answer{row: []string{"x"}}}
	}
	d.permits = append(d.permits, j.raw)
	v := verdict{outcome: permitted, permit: permit{frame: j.raw}, judged: jd, runs: []*run{{limitRows: -1, limitBytes: -1}}}
	if strings.Contains(sql, "path") {
		v.effects.path = []string{"other"}
	}
	if strings.Contains(sql, "copy") {
		v.copyIn = true
	}
	return v
}

// feed gives the machine a client message and lets everything come to rest.
func (d *drive) feed(f pgwire.Frame) {
	d.m.client(f)
	d.settle()
}

func (d *drive) settle() {
	for {
		if j := d.m.takeJob(); j != nil {
			if j.kind == jobCancel {
				d.m.cancelled()
				continue
			}
			d.m.verdict(j, d.decide(j))
			d.m.advance()
			continue
		}
		out := d.m.toServer
		d.m.toServer = nil
		d.sent = append(d.sent, out...)
		d.server.take(out)
		back := d.server.answers()
		if len(back) == 0 {
			break
		}
		for _, f := range frames(d.t, back) {
			d.m.server(f)
		}
	}
	d.got = append(d.got, d.m.toClient...)
	d.m.toClient = nil
}

// types renders what reached the client as message types.
func (d *drive) types() string {
	var b strings.Builder
	for _, f := range frames(d.t, d.got) {
		b.WriteByte(f.Type())
		if f.Type() == pgwire.ReadyForQuery {
			b.WriteByte(f.Body()[0])
		}
	}
	d.got = nil
	return b.String()
}

func frames(t testing.TB, b []byte) []pgwire.Frame {
	t.Helper()
	r := pgwire.NewReader(bytes.NewReader(b), len(b)+pgwire.HeaderSize)
	var out []pgwire.Frame
	for r.Buffered() > 0 || len(out) == 0 && len(b) > 0 {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.Read(h, len(b))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// modelServer answers as PostgreSQL does, as far as these tests need it.
type modelServer struct {
	in, out  []byte
	held     []byte // answers not flushed yet
	tx       byte
	skipping bool
	copying  bool
	extended bool // the COPY came by Execute
	prepared map[string]string
	portals  map[string]string
	executed []string
}

func (s *modelServer) take(b []byte) { s.in = append(s.in, b...) }

func (s *modelServer) answers() []byte {
	for len(s.in) >= pgwire.HeaderSize {
		n := int(binary.BigEndian.Uint32(s.in[1:])) + 1
		f := pgwire.Frame(s.in[:n])
		s.in = s.in[n:]
		s.one(f)
	}
	out := s.out
	s.out = nil
	return out
}

func (s *modelServer) one(f pgwire.Frame) {
	if s.prepared == nil {
		s.prepared, s.portals = map[string]string{}, map[string]string{}
	}
	switch {
	case s.copying:
		s.copyData(f)
		return
	case s.skipping && f.Type() != pgwire.Sync:
		return
	}
	switch f.Type() {
	case pgwire.Query:
		sql, _ := pgwire.DecodeQuery(f.Body())
		delete(s.prepared, "")
		s.query(sql)
	case pgwire.Parse:
		p, _ := pgwire.DecodeParse(f.Body())
		if p.Name == "" {
			delete(s.prepared, "")
		}
		if _, taken := s.prepared[p.Name]; taken || bad(p.Query) {
			s.fail()
			return
		}
		s.prepared[p.Name] = p.Query
		s.held = pgwire.AppendFrame(s.held, pgwire.ParseComplete)
	case pgwire.Bind:
		b, _ := pgwire.DecodeBind(f.Body())
		sql, known := s.prepared[b.Statement]
		if !known {
			s.fail()
			return
		}
		s.portals[b.Portal] = sql
		s.held = pgwire.AppendFrame(s.held, pgwire.BindComplete)
	case pgwire.Describe:
		s.held = pgwire.AppendFrame(s.held, pgwire.NoData)
	case pgwire.Execute:
		e, _ := pgwire.DecodeExecute(f.Body())
		sql, known := s.portals[e.Portal]
		if !known || strings.Contains(sql, "error") {
			s.fail()
			return
		}
		s.executed = append(s.executed, sql)
		if strings.Contains(sql, "copy") {
			s.copying, s.extended = true, true
			s.out = append(append(s.out, s.held...), pgwire.AppendFrame(nil, pgwire.CopyIn, []byte{0, 0, 0})...)
			s.held = nil
			return
		}
		s.held = pgwire.AppendFrame(s.held, pgwire.CommandComplete, []byte("SELECT 0\x00"))
	case pgwire.Close:
		t, _ := pgwire.DecodeTarget(f.Body())
		if t.Kind == 'S' {
			delete(s.prepared, t.Name)
		} else {
			delete(s.portals, t.Name)
		}
		s.held = pgwire.AppendFrame(s.held, pgwire.CloseComplete)
	case pgwire.Sync:
		s.skipping = false
		if s.tx == txIdle {
			clear(s.portals)
		}
		s.ready()
	case pgwire.Flush:
		s.out = append(s.out, s.held...)
		s.held = nil
	}
}

func bad(sql string) bool {
	return strings.HasPrefix(sql, "sallyport ") || strings.Contains(sql, "syntax")
}

func (s *modelServer) query(sql string) {
	switch {
	case bad(sql), strings.Contains(sql, "error"):
		s.held = pgwire.Report{Severity: "ERROR", Code: codeSyntax, Message: "m"}.Append(s.held, pgwire.ErrorResponse)
		if s.tx == txOpen {
			s.tx = txFailed
		}
	case strings.Contains(sql, "begin"):
		s.tx = txOpen
		s.held = pgwire.AppendFrame(s.held, pgwire.CommandComplete, []byte("BEGIN\x00"))
	case strings.Contains(sql, "rollback"):
		s.tx = txIdle
		s.held = pgwire.AppendFrame(s.held, pgwire.CommandComplete, []byte("ROLLBACK\x00"))
	default:
		s.executed = append(s.executed, sql)
		s.held = pgwire.AppendFrame(s.held, pgwire.CommandComplete, []byte("SELECT 0\x00"))
	}
	s.ready()
}

func (s *modelServer) fail() {
	s.skipping = true
	if s.tx == txOpen {
		s.tx = txFailed
	}
	s.out = append(append(s.out, s.held...), pgwire.Report{Severity: "ERROR", Code: codeSyntax, Message: "m"}.Append(nil, pgwire.ErrorResponse)...)
	s.held = nil
}

func (s *modelServer) ready() {
	s.out = pgwire.AppendReady(append(s.out, s.held...), s.tx)
	s.held = nil
}

func (s *modelServer) copyData(f pgwire.Frame) {
	switch f.Type() {
	case pgwire.CopyDone:
		s.copying = false
		s.held = pgwire.AppendFrame(s.held, pgwire.CommandComplete, []byte("COPY 1\x00"))
	case pgwire.CopyData, pgwire.Sync, pgwire.Flush:
	default:
		s.copying = false
		s.fail()
	}
}

func fQuery(sql string) pgwire.Frame { return pgwire.AppendQuery(nil, sql) }
func fParse(name, sql string) pgwire.Frame {
	return pgwire.AppendFrame(nil, pgwire.Parse, []byte(name+"\x00"+sql+"\x00\x00\x00"))
}
func fBind(portal, name string) pgwire.Frame {
	return pgwire.AppendFrame(nil, pgwire.Bind, []byte(portal+"\x00"+name+"\x00\x00\x00\x00\x00\x00\x00"))
}
func fExecute(portal string) pgwire.Frame {
	return pgwire.AppendFrame(nil, pgwire.Execute, []byte(portal+"\x00\x00\x00\x00\x00"))
}
func fDescribe(kind, name string) pgwire.Frame {
	return pgwire.AppendFrame(nil, pgwire.Describe, []byte(kind+name+"\x00"))
}
func fClose(kind, name string) pgwire.Frame {
	return pgwire.AppendFrame(nil, pgwire.Close, []byte(kind+name+"\x00"))
}
func fSync() pgwire.Frame { return pgwire.AppendFrame(nil, pgwire.Sync) }

func TestMachineConversations(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []pgwire.Frame
		want string // message types to the client, ReadyForQuery with its status
		ran  string // what the server executed
	}{
		{"simple", []pgwire.Frame{fQuery("a")}, "CZI", "a"},
		{"simple refused, answered here", []pgwire.Frame{fQuery("deny"), fQuery("b")}, "EZICZI", "b"},
		{"refused in a transaction aborts it", []pgwire.Frame{fQuery("begin"), fQuery("deny"), fQuery("rollback")}, "CZTEZECZI", ""},
		{"answered by the proxy", []pgwire.Frame{fQuery("call")}, "TDCZI", ""},
		{"extended", []pgwire.Frame{fParse("", "a"), fDescribe("S", ""), fBind("", ""), fExecute(""), fSync()}, "1n2CZI", "a"},
		{"refused Parse skips to Sync", []pgwire.Frame{fParse("", "deny"), fBind("", ""), fExecute(""), fSync()}, "EZI", ""},
		{"refused second statement of a pipeline", []pgwire.Frame{
			fParse("", "a"), fBind("", ""), fExecute(""), fParse("", "deny"), fBind("", ""), fExecute(""), fSync()}, "12CEZI", "a"},
		{"Query is dropped while skipping", []pgwire.Frame{fParse("", "deny"), fQuery("a"), fSync(), fQuery("b")}, "EZICZI", "b"},
		{"named statement twice", []pgwire.Frame{fParse("s", "a"), fSync(), fParse("s", "b"), fSync(), fBind("", "s"), fExecute(""), fSync()},
			"1ZIEZI2CZI", "a"},
		{"named statement closed and made again in one pipeline", []pgwire.Frame{fParse("s", "a"), fSync(),
			fClose("S", "s"), fParse("s", "b"), fBind("", "s"), fExecute(""), fSync()}, "1ZI312CZI", "b"},
		{"unknown statement", []pgwire.Frame{fBind("", "nope"), fSync()}, "EZI", ""},
		{"unknown portal", []pgwire.Frame{fExecute("nope"), fSync()}, "EZI", ""},
		{"portals end with the transaction", []pgwire.Frame{fParse("", "a"), fBind("p", ""), fSync(), fExecute("p"), fSync()}, "12ZIEZI", ""},
		{"call in the extended protocol", []pgwire.Frame{fParse("", "call"), fDescribe("S", ""), fBind("", ""), fDescribe("P", ""), fExecute(""), fSync()},
			"1tT2TDCZI", ""},
		{"call behind a statement keeps the order", []pgwire.Frame{fParse("a", "a"), fBind("", "a"), fExecute(""),
			fParse("", "call"), fBind("", ""), fExecute(""), fSync()}, "12C12DCZI", "a"},
		{"function call", []pgwire.Frame{pgwire.AppendFrame(nil, pgwire.Function, []byte{0, 0, 0, 1})}, "EZI", ""},
		{"copy with the Sync sent ahead", []pgwire.Frame{fParse("", "copy"), fBind("", ""), fExecute(""), fSync(),
			pgwire.AppendFrame(nil, pgwire.CopyData, []byte("x")), pgwire.AppendFrame(nil, pgwire.CopyDone), fSync(), fQuery("b")},
			"12GCZICZI", "copy,b"},
		{"message during copy fails it", []pgwire.Frame{fParse("", "copy"), fBind("", ""), fExecute(""), fQuery("a"), fSync()}, "12GEZI", "copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrive(t)
			for _, f := range c.in {
				d.feed(f)
			}
			if got := d.types(); got != c.want {
				t.Errorf("client got %s, want %s", got, c.want)
			}
			if got := strings.Join(d.server.executed, ","); got != c.ran {
				t.Errorf("server ran %q, want %q", got, c.ran)
			}
			if d.m.err != nil {
				t.Errorf("session failed: %v", d.m.err)
			}
		})
	}
}

// A pipeline that failed leaves the unnamed statement as it was. What is bound
// after it must be judged as what the server has, not as what was last sent.
func TestStaleUnnamedStatement(t *testing.T) {
	d := newDrive(t)
	d.feed(fParse("", "old"))
	d.feed(fSync())
	// Everything in one go, before the server has answered: the error skips Parse.
	for _, f := range []pgwire.Frame{fBind("", "missing-on-server"), fParse("", "new"), fSync(), fBind("", ""), fExecute(""), fSync()} {
		d.m.client(f)
	}
	d.settle()
	if got := strings.Join(d.server.executed, ","); got != "old" {
		t.Errorf("server ran %q", got)
	}
	for _, p := range d.permits {
		if bytes.Contains(p, []byte("new")) {
			t.Error("the skipped statement was permitted")
		}
	}
}

func TestSearchPathFollowsTheServer(t *testing.T) {
	d := newDrive(t)
	d.feed(fQuery("path"))
	if d.m.path[0] != "other" {
		t.Fatalf("path is %v", d.m.path)
	}
	d = newDrive(t)
	for _, f := range []pgwire.Frame{fParse("", "path"), fBind("", ""), fExecute(""), fParse("", "error"), fBind("", ""), fExecute(""), fSync()} {
		d.feed(f)
	}
	if d.m.path[0] != "public" {
		t.Errorf("the rolled back path stayed: %v", d.m.path)
	}
}

func TestRowLimitCutsOff(t *testing.T) {
	m := newMachine(nil, time.Now)
	r := &run{limitRows: 1, limitBytes: -1, decisionID: "d-9"}
	m.forward(permit{frame: fQuery("a")}, &expect{typ: pgwire.Query, runs: []*run{r}})
	for range 3 {
		m.server(pgwire.AppendFrame(nil, pgwire.DataRow, []byte{0, 0}))
	}
	if j := m.takeJob(); j == nil || j.kind != jobCancel {
		t.Fatal("nothing was cancelled")
	}
	m.client(fQuery("next"))
	if m.takeJob() != nil {
		t.Error("a statement was taken while the cancel request was under way")
	}
	m.server(pgwire.Report{Severity: "ERROR", Code: codeCancelled, Message: "canceling"}.Append(nil, pgwire.ErrorResponse))
	m.server(pgwire.AppendReady(nil, txIdle))
	d := &drive{t: t, m: m, got: m.toClient}
	got := string(m.toClient)
	if types := d.types(); types != "DEZI" {
		t.Errorf("client got %s", types)
	}
	if !strings.Contains(got, codeLimit) || strings.Contains(got, "canceling") {
		t.Errorf("the error is not ours: %q", got)
	}
	m.cancelled()
	if j := m.takeJob(); j == nil || j.kind != jobQuery {
		t.Error("the waiting statement was not taken up")
	}
}

func TestFenceEndsTheSession(t *testing.T) {
	m := newMachine(nil, time.Now)
	r := &run{limitRows: -1, limitBytes: -1, masked: true, fence: fence{{7, 3}: "public.customers.email"}}
	m.forward(permit{frame: fQuery("a")}, &expect{typ: pgwire.Query, runs: []*run{r}})
	body := append([]byte{0, 1}, "email\x00\x00\x00\x00\x07\x00\x03\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00"...)
	m.server(pgwire.AppendFrame(nil, pgwire.RowDescription, body))
	m.server(pgwire.AppendFrame(nil, pgwire.DataRow, []byte("\x00\x01\x00\x00\x00\x06secret")))
	if m.state != closing || bytes.Contains(m.toClient, []byte("secret")) || m.breach == "" {
		t.Errorf("state %v, breach %q, client got %q", m.state, m.breach, m.toClient)
	}
}

func TestMaskedErrorsAreScrubbed(t *testing.T) {
	m := newMachine(nil, time.Now)
	m.forward(permit{frame: fQuery("a")}, &expect{typ: pgwire.Query, runs: []*run{{limitRows: -1, limitBytes: -1, masked: true, rewritten: true}}})
	report := pgwire.Report{Severity: "ERROR", Code: "23505", Message: "duplicate", Detail: "Key (email)=(secret)", Hint: "secret", Position: "9",
		Others: []pgwire.ReportField{{Type: 'V', Value: "ERROR"}, {Type: 'W', Value: "secret"}, {Type: 'q', Value: "secret"}}}
	m.server(report.Append(nil, pgwire.ErrorResponse))
	if bytes.Contains(m.toClient, []byte("secret")) || bytes.Contains(m.toClient, []byte("P9")) {
		t.Errorf("client got %q", m.toClient)
	}
}

func TestNoPermitNoForward(t *testing.T) {
	m := newMachine(nil, time.Now)
	m.forward(permit{}, &expect{typ: pgwire.Query})
	if m.state != closing || bytes.Contains(m.toServer, []byte{pgwire.Query}) {
		t.Errorf("a zero permit let %q through", m.toServer)
	}
	m = newMachine(nil, time.Now)
	m.relay(fQuery("a"))
	if m.state != closing || bytes.IndexByte(m.toServer, pgwire.Query) >= 0 {
		t.Errorf("relay let %q through", m.toServer)
	}
}

func TestSettingsThatChangeMeaningEndTheSession(t *testing.T) {
	m := newMachine(nil, time.Now)
	m.server(pgwire.AppendParameterStatus(nil, "standard_conforming_strings", "off"))
	if m.state != closing {
		t.Error("the session went on")
	}
}

// FuzzClientBytes: whatever a client sends, the statements that reach the server
// are those permitted, in order, and no others.
func FuzzClientBytes(f *testing.F) {
	var seed []byte
	for _, fr := range []pgwire.Frame{fParse("", "a"), fDescribe("S", ""), fBind("", ""), fExecute(""), fSync(), fQuery("deny"), fQuery("begin"),
		fParse("s", "deny"), fClose("S", "s"), fSync(), fQuery("call"), fParse("", "copy"), fBind("", ""), fExecute(""), fSync(),
		pgwire.AppendFrame(nil, pgwire.CopyData, []byte("x")), pgwire.AppendFrame(nil, pgwire.CopyDone), fSync()} {
		seed = append(seed, fr...)
		f.Add([]byte(fr), uint8(3))
	}
	f.Add(seed, uint8(7))
	f.Fuzz(func(t *testing.T, in []byte, batch uint8) {
		d := newDrive(t)
		r := pgwire.NewReader(bytes.NewReader(in), 64)
		for i := 0; ; i++ {
			h, err := r.Next()
			if err != nil {
				break
			}
			fr, err := r.Read(h, 1<<16)
			if err != nil {
				break
			}
			d.m.client(fr)
			if batch == 0 || i%int(batch) == 0 {
				d.settle()
			}
		}
		d.settle()
		d.check()
	})
}

// check compares the statements that reached the server with the permits.
func (d *drive) check() {
	d.t.Helper()
	n := 0
	for _, f := range frames(d.t, d.sent) {
		switch f.Type() {
		case pgwire.Query, pgwire.Parse, pgwire.Bind, pgwire.Execute:
			if isSubstitute(f) {
				continue
			}
			if n >= len(d.permits) || !bytes.Equal(f, d.permits[n]) {
				// a permit that came too late may be skipped, but never changed
				found := false
				for n < len(d.permits) && !found {
					found = bytes.Equal(f, d.permits[n])
					n++
				}
				if !found {
					d.t.Fatalf("%q reached the server without a permit", f)
				}
				continue
			}
			n++
		case pgwire.Function, pgwire.Password:
			d.t.Fatalf("%q reached the server", f)
		}
	}
}

func isSubstitute(f pgwire.Frame) bool {
	switch f.Type() {
	case pgwire.Query:
		sql, _ := pgwire.DecodeQuery(f.Body())
		return strings.HasPrefix(sql, "sallyport refused this statement, decision ")
	case pgwire.Parse:
		p, _ := pgwire.DecodeParse(f.Body())
		return p.Name == refusedName
	default:
		return false
	}
}

// Every substituted text is one that PostgreSQL's parser rejects.
func TestSubstitutesNeverParse(t *testing.T) {
	for _, id := range []string{"", "d-abc", "'; DROP TABLE x; --", strings.Repeat("z", 300)} {
		text := newMachine(nil, time.Now).substitute(&Refusal{Detail: Detail{DecisionID: id}})
		if _, err := query.Parse(text, query.Limits{}); err == nil {
			t.Errorf("%q parses", text)
		}
	}
}

func ExampleRefusal() {
	r := &Refusal{Code: codeDenied, Message: "no", Hint: "ask", Detail: Detail{DecisionID: "d-1", Effect: "deny"}}
	fmt.Printf("%q\n", r.appendTo(nil)[5:])
	// Output: "SERROR\x00VERROR\x00C42501\x00Msallyport: no\x00D{\"decision_id\":\"d-1\",\"effect\":\"deny\",\"retryable\":false}\x00Hask\x00\x00"
}
