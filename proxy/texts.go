package proxy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
	"github.com/sallyport/sallyport/internal/rewrite"
	"github.com/sallyport/sallyport/rego"
)

// text is a message's SQL as understood against one catalog snapshot. It is
// shared between sessions and never changed.
type text struct {
	statements []*parsed
	err        *query.Error // it cannot be parsed
	snapshot   *catalog.Snapshot
	made       []*named // cursors and prepared statements its statements make, by statement; nil for none
}

// parsed is one statement of a text.
type parsed struct {
	analysis   *query.Analysis
	simple     *rego.Statement // what policies see of it, by protocol
	extended   *rego.Statement
	exposed    *rego.Statement // with all columns of its relations, which errors may quote; nil when it only reads
	normalized string
	relations  []string // ids
	stands     *named   // what the name stands for that the statement uses, nil for none
}

func (p *parsed) statement(extended bool) *rego.Statement {
	if extended {
		return p.extended
	}
	return p.simple
}

// unresolved reports whether a newer catalog might know more.
func (t *text) unresolved() bool {
	for _, p := range t.statements {
		if !p.analysis.Shape.Complete {
			return true
		}
	}
	return false
}

// texts keeps what was understood of the texts seen lately, in two generations:
// when the young one is full the old one is dropped.
type texts struct {
	mu         sync.Mutex
	young, old map[string]*text
}

const textsKept = 2048 // in each generation

func (c *texts) get(key string) *text {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.young[key]; t != nil {
		return t
	}
	t := c.old[key]
	if t != nil {
		c.put(key, t)
	}
	return t
}

func (c *texts) add(key string, t *text) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, t)
}

func (c *texts) put(key string, t *text) {
	if c.young == nil || len(c.young) >= textsKept {
		c.young, c.old = make(map[string]*text), c.young
	}
	c.young[key] = t
}

// maxKeptText is the longest text, in bytes, worth keeping: longer ones are bulk
// data, which does not come twice.
const maxKeptText = 16 << 10

// understand parses and analyses a message's SQL.
func (u *Upstream) understand(sql string, limits query.Limits, env query.Env) *text {
	snapshot := u.catalog.Snapshot()
	return u.texts.understand(u.analyzer(snapshot), snapshot, sql, limits, env)
}

func (c *texts) understand(analyzer *query.Analyzer, snapshot *catalog.Snapshot, sql string, limits query.Limits, env query.Env) *text {
	key := textKey(sql, env)
	if t := c.get(key); t != nil && t.snapshot == snapshot {
		return t
	}
	t := &text{snapshot: snapshot}
	statements, err := query.Parse(sql, limits)
	if err != nil {
		if !errors.As(err, &t.err) {
			t.err = &query.Error{Code: codeInternal, Message: "the statement could not be parsed"}
		}
		return t
	}
	for _, st := range statements {
		a := analyzer.Analyze(st, env)
		a.Shape.Fingerprint = query.Fingerprint(st.Text)
		p := newParsed(st, a)
		if !harmless(p.simple.Class) {
			p.exposed = exposed(p.analysis, snapshot)
		}
		t.statements = append(t.statements, p)
	}
	if len(sql) <= maxKeptText {
		c.add(key, t)
	}
	return t
}

func textKey(sql string, env query.Env) string {
	var b strings.Builder
	b.Grow(len(sql) + 64)
	var n [4]byte
	number := func(i int) {
		binary.BigEndian.PutUint32(n[:], uint32(i))
		b.Write(n[:])
	}
	number(len(env.SearchPath))
	opaque := 0
	if env.Opaque {
		opaque = 1
	}
	number(opaque)
	for _, s := range env.SearchPath {
		number(len(s))
		b.WriteString(s)
	}
	number(len(env.Unusable))
	for _, s := range env.Unusable {
		number(len(s))
		b.WriteString(s)
	}
	number(len(env.User))
	b.WriteString(env.User)
	number(len(env.ParamTypes))
	for _, oid := range env.ParamTypes {
		number(int(oid))
	}
	b.WriteString(sql)
	return b.String()
}

func newParsed(st *query.Statement, a *query.Analysis) *parsed {
	digest := sha256.Sum256([]byte(st.Text))
	p := &parsed{analysis: a, normalized: query.Normalize(st.Text)}
	p.simple, p.extended = regoStatement(a.Shape, a.Setting), regoStatement(a.Shape, a.Setting)
	p.simple.Digest = hex.EncodeToString(digest[:])
	p.extended.Digest = p.simple.Digest
	p.simple.Protocol, p.extended.Protocol = "simple", "extended"
	for _, t := range p.simple.Tables {
		p.relations = append(p.relations, t.ID)
	}
	return p
}

// exposed is the statement as if it touched each column of its relations, and of those
// that its writes are checked against: what a violated constraint quotes is whole rows,
// and that it is violated tells of them.
func exposed(a *query.Analysis, s *catalog.Snapshot) *rego.Statement {
	out := regoStatement(a.Shape, a.Setting)
	out.Protocol = "simple"
	listed := map[string]bool{}
	for _, c := range out.Columns {
		listed[c.ID] = true
	}
	add := func(r *catalog.Relation, via string) {
		if r == nil {
			return
		}
		for _, c := range r.Columns {
			if id := r.ID() + "." + catalog.QuoteIdent(c.Name); !listed[id] {
				listed[id] = true
				out.Columns = append(out.Columns, rego.Column{ID: id, Table: r.ID(), Name: c.Name, Uses: []string{"derived"}, Via: via})
			}
		}
	}
	for _, t := range a.Shape.Tables {
		add(s.Relation(t.Schema, t.Name), t.Via)
	}
	for _, r := range rewrite.Beside(a, s) {
		add(r, "")
	}
	return out
}

// regoStatement says what policies see of a statement.
func regoStatement(s query.Shape, setting *query.Setting) *rego.Statement {
	out := &rego.Statement{
		Kind: s.Kind, Command: s.Command, Class: s.Class, Index: s.Index, Count: s.Count, Fingerprint: s.Fingerprint,
		Analysis: rego.Analysis{Complete: s.Complete, Unresolved: s.Unresolved},
		Tables:   []rego.Table{}, Columns: []rego.Column{}, Functions: []rego.Function{},
		Where: s.Where, Limit: s.Limit, Joins: s.Joins, Subqueries: s.Subqueries, CTEs: s.CTEs,
		SetOperations: s.SetOperations, Locks: s.Locks, Literals: s.Literals,
	}
	for _, t := range s.Tables {
		out.Tables = append(out.Tables, rego.Table{ID: t.ID, Schema: t.Schema, Name: t.Name,
			Kind: string(t.Kind), Access: t.Access, Via: t.Via})
	}
	for _, c := range s.Columns {
		out.Columns = append(out.Columns, rego.Column{ID: c.ID, Table: c.Table, Name: c.Name, Uses: c.Uses, Via: c.Via})
	}
	for _, f := range s.Functions {
		out.Functions = append(out.Functions, rego.Function{ID: f.ID, Schema: f.Schema, Name: f.Name, Kind: f.Kind,
			Volatility: f.Volatility, Leakproof: f.Leakproof, SecurityDefiner: f.SecurityDefiner, Language: f.Language,
			Transparent: f.Transparent, Via: f.Via})
	}
	for _, p := range s.Parameters {
		out.Parameters = append(out.Parameters, rego.Parameter{Index: p.Index, Type: p.Type})
	}
	if s.Explain != nil {
		out.Explain = &rego.Explain{Analyze: s.Explain.Analyze}
	}
	if setting != nil {
		out.Setting = &rego.Setting{Name: setting.Name, Local: setting.Local, Reset: setting.Reset}
	}
	return out
}
