package query

import "github.com/sallyport/sallyport/internal/catalog"

var writeBits = map[string]catalog.Writes{
	"insert": catalog.Inserts, "update": catalog.Updates, "delete": catalog.Deletes, "truncate": catalog.Truncates,
}

type writtenRelation struct {
	relation *catalog.Relation
	on       catalog.Writes
}

// effects lists what the writes of the statement run without naming it: functions
// of triggers, defaults, constraints, indexes and policies that users have made, of
// the relations written, of those that hold their rows, and of those that foreign
// keys take the write to. What a rule does is not known.
func (s *state) effects() {
	var queue []writtenRelation
	for _, t := range s.tables {
		var on catalog.Writes
		for _, access := range t.Access {
			on |= writeBits[access]
		}
		if r := s.snapshot.Relation(t.Schema, t.Name); on != 0 && r != nil && !s.besides(t) {
			queue = append(queue, writtenRelation{r, on})
		}
	}
	seen := map[*catalog.Relation]catalog.Writes{}
	for ; len(queue) > 0; queue = queue[1:] {
		r, on := queue[0].relation, queue[0].on&^seen[queue[0].relation]
		if on == 0 {
			continue
		}
		seen[r] |= on
		for _, e := range r.Effects {
			if e.On&on != 0 {
				s.addFunctionVia(s.snapshot.FunctionByOID(e.Function), r.ID())
			}
		}
		for _, rule := range r.Rules {
			if rule.On&on != 0 {
				s.unresolved("what the rule " + quoted(rule.Name) + " of " + quoted(r.Schema, r.Name) + " does")
			}
		}
		for _, child := range r.Children {
			if c := s.snapshot.RelationByOID(child); c != nil {
				queue = append(queue, writtenRelation{c, on})
			}
		}
		for _, c := range r.Cascades {
			if to := s.snapshot.RelationByOID(c.To); c.On&on != 0 && to != nil {
				queue = append(queue, writtenRelation{to, c.Then})
			}
		}
	}
}

// besides reports whether a table is only listed for sharing rows with one that is
// written: its own triggers do not run, or are found through the other.
func (s *state) besides(t *Table) bool {
	for _, through := range s.tables {
		if through.ID == t.Via {
			return through.Kind != catalog.View
		}
	}
	return false
}
