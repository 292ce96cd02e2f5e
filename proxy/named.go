package proxy

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
	"github.com/sallyport/sallyport/rego"
)

// named is a cursor, or a statement prepared by SQL, that the server has. What is
// done with it by its name is judged as what it stands for.
type named struct {
	name      string
	cursor    bool // else a prepared statement
	hold      bool // a cursor that outlives its transaction
	parsed    *parsed
	snapshot  *catalog.Snapshot // that parsed was made with
	sql       string            // DECLARE or PREPARE as the client sent it
	forwarded string            // as the server got it
	qualified bool              // its names were qualified
	estimate  *rego.Estimate    // of a cursor, when it was declared
	approved  bool              // a person has approved the cursor's statement
	rows      int64             // fetched so far, of the machine's own
	bytes     int64
}

// namedSet holds what names mean. It is never changed: whoever judges keeps the one
// that was true when it was asked.
type namedSet struct {
	cursors    map[string]*named
	prepared   map[string]*named
	generation uint64
}

// maxNamed is how many cursors and prepared statements a session may have each.
const maxNamed = 1000

func (s *namedSet) with(n *named) *namedSet {
	next := s.copied()
	if n.cursor {
		next.cursors[n.name] = n
	} else {
		next.prepared[n.name] = n
	}
	return next
}

// copied is a set to change before it is shown to anybody.
func (s *namedSet) copied() *namedSet {
	next := &namedSet{cursors: map[string]*named{}, prepared: map[string]*named{}, generation: 1}
	if s != nil {
		next.generation = s.generation + 1
		for name, n := range s.cursors {
			next.cursors[name] = n
		}
		for name, n := range s.prepared {
			next.prepared[name] = n
		}
	}
	return next
}

// without forgets a prepared statement; "" forgets all.
func (s *namedSet) without(name string) *namedSet {
	if s == nil || len(s.prepared) == 0 || name != "" && s.prepared[name] == nil {
		return s
	}
	next := s.copied()
	if name == "" {
		clear(next.prepared)
	}
	delete(next.prepared, name)
	return next
}

// closed forgets a cursor; "" forgets all, kept those WITH HOLD not.
func (s *namedSet) closed(name string, keepHold bool) *namedSet {
	if s == nil || len(s.cursors) == 0 || name != "" && s.cursors[name] == nil {
		return s
	}
	next := s.copied()
	for known, n := range next.cursors {
		if (name == "" || name == known) && !(keepHold && n.hold) {
			delete(next.cursors, known)
		}
	}
	if len(next.cursors) == len(s.cursors) {
		return s
	}
	return next
}

// only keeps the cursor that a run has fetched from, which nothing could close
// meanwhile, of all cursors.
func (s *namedSet) only(r *run) *namedSet {
	if s == nil || len(s.cursors) == 0 {
		return s
	}
	next := s.copied()
	clear(next.cursors)
	if r != nil && r.cursor != nil && s.cursors[r.cursor.name] == r.cursor {
		next.cursors[r.cursor.name] = r.cursor
	}
	return next
}

func (s *namedSet) cursor(name string) *named {
	if s == nil {
		return nil
	}
	return s.cursors[name]
}

func (s *namedSet) statement(name string) *named {
	if s == nil {
		return nil
	}
	return s.prepared[name]
}

func (s *namedSet) full() bool {
	return s != nil && (len(s.cursors) >= maxNamed || len(s.prepared) >= maxNamed)
}

func (s *namedSet) at() uint64 {
	if s == nil {
		return 0
	}
	return s.generation
}

// resolveNames puts what names stand for into the statements that use them.
func (g *gate) resolveNames(ctx context.Context, j *job, t *text) (*text, *Refusal) {
	out := t
	for i, p := range t.statements {
		n := p.analysis.Named
		if !n.Makes() && !n.Uses() {
			continue
		}
		if n.Makes() && j.named.full() {
			return t, &Refusal{Code: codeLimit, Message: "the session has too many cursors or prepared statements", Hint: "CLOSE or DEALLOCATE what is not needed."}
		}
		if out == t {
			out = &text{statements: slices.Clone(t.statements), snapshot: t.snapshot, made: make([]*named, len(t.statements))}
		}
		if n.Makes() {
			out.made[i] = &named{name: n.Name, cursor: n.Command == "declare", hold: n.Hold, parsed: p, snapshot: t.snapshot,
				sql: p.analysis.Statement.Text}
			continue
		}
		stands, r := g.standsFor(ctx, j, out, i)
		if r != nil {
			return t, r
		}
		out.statements[i] = p.standing(stands)
	}
	return out, nil
}

// standsFor finds what the name that statement i uses means by then.
func (g *gate) standsFor(ctx context.Context, j *job, t *text, i int) (*named, *Refusal) {
	n := t.statements[i].analysis.Named
	cursor := n.Command != "execute"
	for k := i - 1; k >= 0; k-- { // made earlier in the same message
		if made := t.made[k]; made != nil && made.name == n.Name && made.cursor == cursor {
			return made, nil
		}
		before := t.statements[k]
		own := before.stands != nil && before.stands.cursor && before.stands.name == n.Name
		if cursor && !own && opensCursors(before.analysis) {
			return nil, &Refusal{Code: codeNoPortal, Message: "what cursor " + quote(n.Name) + " is cannot be known after a function that may open cursors",
				Hint: "Send the statements one by one, and declare the cursor after the function."}
		}
	}
	if cursor {
		if c := j.named.cursor(n.Name); c != nil {
			return c, nil
		}
		return nil, &Refusal{Code: codeNoPortal, Message: "cursor " + quote(n.Name) + " does not exist"}
	}
	s := j.named.statement(n.Name)
	if s == nil {
		return nil, &Refusal{Code: codeNoStatement, Message: "prepared statement " + quote(n.Name) + " does not exist",
			Hint: "SQL EXECUTE runs what SQL PREPARE has made; what a driver has prepared is run by the driver."}
	}
	// The server makes sense of its names when it runs.
	again, r := g.understand(ctx, s.sql, query.Env{SearchPath: j.path, User: g.role, Unusable: g.unusable, Opaque: g.qualify})
	if r != nil {
		return nil, r
	}
	if again.err != nil || len(again.statements) != 1 {
		return nil, &Refusal{Code: codeInternal, Message: "the prepared statement could not be judged", Hint: "Prepare it again."}
	}
	now := *s
	now.parsed, now.snapshot = again.statements[0], again.snapshot
	return &now, nil
}

// standing is the statement as what the name it uses stands for.
func (p *parsed) standing(n *named) *parsed {
	inner := n.parsed.analysis
	a := *inner
	a.Statement, a.Named, a.Refusal = p.analysis.Statement, p.analysis.Named, p.analysis.Refusal
	a.Scans, a.Reads = nil, nil // they are in another text
	if a.Refusal == nil {
		a.Refusal = inner.Refusal
	}
	own := p.analysis.Shape
	a.Shape.Command = p.analysis.Named.Command
	a.Shape.Index, a.Shape.Count, a.Shape.Fingerprint = own.Index, own.Count, own.Fingerprint
	a.Shape.Functions = append(append([]query.Function(nil), inner.Shape.Functions...), own.Functions...)
	a.Shape.Unresolved = append(append([]string(nil), inner.Shape.Unresolved...), own.Unresolved...)
	a.Shape.Complete = inner.Shape.Complete && own.Complete
	a.Shape.Literals += own.Literals
	a.Shape.Subqueries += own.Subqueries
	a.Shape.Parameters = own.Parameters
	a.Schema = inner.Schema || p.analysis.Schema
	out := newParsed(a.Statement, &a)
	out.exposed, out.stands = n.parsed.exposed, n
	return out
}

// makes is what the server will have once the statement has run, nil if nothing.
func (j *judged) makes(i int) *named {
	if j.text.made == nil || j.text.made[i] == nil {
		return nil
	}
	made := j.text.made[i]
	if len(j.text.made) == 1 { // it may be executed again; with others its fetches are in the same message
		again := *made
		made = &again
	}
	made.forwarded, made.qualified = j.texts[i], j.at.qualify
	return made
}

// deferred is a decision on PREPARE: it runs nothing, and a person is asked when it
// is executed. A cursor that a person has let be declared may be fetched from.
func (p *parsed) deferred(d *rego.StatementDecision) *rego.StatementDecision {
	n := p.analysis.Named
	later := n != nil && (n.Command == "prepare" || p.stands != nil && p.stands.cursor && p.stands.approved)
	if d.Effect != rego.RequireApproval || !later {
		return d
	}
	now := *d
	now.Effect = rego.Allow
	if len(d.Masks) > 0 {
		now.Effect = rego.Mask
	}
	return &now
}

// runsNothing reports whether the statement only says what a name shall stand for.
func (p *parsed) runsNothing() bool {
	n := p.analysis.Named
	return n != nil && n.Command == "prepare"
}
