package rewrite

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// A write that succeeds or fails by what is in a masked column tells of it: whether a
// value is there (unique keys, foreign keys), or how it compares (checks, generated
// columns). Such writes are refused, unless a person sees the statement before it runs
// or the policy takes the risk. A column's own new value tells nothing: what is
// compared is known.

// written is a write to one relation, with its columns.
type written struct {
	relation *catalog.Relation
	inserts  bool
	given    []*catalog.Column // by new rows
	sets     []set
	deletes  bool
}

type set struct{ columns, kept, null []*catalog.Column }

// oracle looks for writes that tell.
type oracle struct {
	hidden   maskSet
	snapshot *catalog.Snapshot
	seen     map[visit]bool
}

type visit struct {
	relation catalog.OID
	deletes  bool
}

// checkWrites refuses writes that would tell of masked columns, which the statement
// need not name.
func checkWrites(r Request) error {
	if r.Seen || len(r.Analysis.Targets) == 0 {
		return nil
	}
	o := &oracle{hidden: maskSet{}, snapshot: r.Snapshot, seen: map[visit]bool{}}
	for _, masks := range []maskSet{spread(r.Masks, r.Snapshot), spread(r.Beside, r.Snapshot)} {
		for id, mask := range masks {
			if !mask.Written {
				o.hidden[id] = mask
			}
		}
	}
	if len(o.hidden) == 0 {
		return nil
	}
	for _, target := range r.Analysis.Targets {
		for _, w := range writes(target, r) {
			if err := o.check(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// Beside lists the relations that a statement's writes are checked against, though
// it need not name them: whoever asks for masks asks for those of their columns too.
func Beside(a *query.Analysis, s *catalog.Snapshot) []*catalog.Relation {
	var queue, all []*catalog.Relation
	add := func(r *catalog.Relation) {
		if r != nil && !slices.Contains(queue, r) {
			queue = append(queue, r)
		}
	}
	if len(a.Targets) == 0 {
		return nil
	}
	for _, t := range a.Shape.Tables {
		add(s.Relation(t.Schema, t.Name))
	}
	for i := 0; i < len(queue); i++ {
		r := queue[i]
		for _, c := range r.Constraints {
			if c.Other != 0 {
				all = append(all, s.RelationByOID(c.Other))
			}
		}
		for _, c := range r.Cascades {
			add(s.RelationByOID(c.To))
		}
		for _, d := range s.Descendants(r) {
			add(d)
		}
	}
	for _, r := range all {
		add(r)
	}
	return queue
}

// writes are what a statement does to its target, or to the tables beneath a view,
// and to what inherits from them.
func writes(target *query.Target, r Request) []written {
	var all []written
	for _, base := range bases(target, r) {
		relations := []*catalog.Relation{base}
		if target.Node.Inh {
			relations = append(relations, r.Snapshot.Descendants(base)...)
		}
		for _, relation := range relations {
			mapped := func(columns []*catalog.Column) []*catalog.Column {
				var own []*catalog.Column
				for _, c := range columns {
					own = append(own, beneath(target, c, base, relation)...)
				}
				return own
			}
			w := written{relation: relation, inserts: target.Inserts, given: mapped(target.Inserted), deletes: target.Deletes}
			for _, s := range target.Sets {
				w.sets = append(w.sets, set{mapped(s.Columns), mapped(s.Kept), mapped(s.Null)})
			}
			all = append(all, w)
		}
	}
	return all
}

// bases are the tables that a write to the target changes.
func bases(target *query.Target, r Request) []*catalog.Relation {
	if !isView(target.Relation) {
		return []*catalog.Relation{target.Relation}
	}
	var tables []*catalog.Relation
	for _, t := range r.Analysis.Shape.Tables {
		table := r.Snapshot.Relation(t.Schema, t.Name)
		if t.Via != "" && table != nil && !isView(table) && !slices.Contains(tables, table) && changes(t.Access) {
			tables = append(tables, table)
		}
	}
	return tables
}

func changes(access []string) bool {
	return slices.ContainsFunc(access, func(a string) bool { return a == "insert" || a == "update" || a == "delete" })
}

// beneath are the columns of a relation that a column of the target stands for.
func beneath(target *query.Target, c *catalog.Column, base, relation *catalog.Relation) []*catalog.Column {
	ids := []string{columnID(base, c)}
	if target.Relation != base {
		ids = target.Lineage[c.Name].Bases
	}
	var columns []*catalog.Column
	for _, bc := range base.Columns {
		if own := relation.Column(bc.Name); own != nil && slices.Contains(ids, columnID(base, bc)) {
			columns = append(columns, own)
		}
	}
	return columns
}

func (o *oracle) check(w written) error {
	if w.relation.Kind == catalog.ForeignTable {
		return o.foreign(w.relation)
	}
	if w.inserts {
		if err := o.inserted(w); err != nil {
			return err
		}
	}
	for _, s := range w.sets {
		if err := o.set(w.relation, s); err != nil {
			return err
		}
	}
	if w.deletes {
		return o.deleted(w.relation)
	}
	return nil
}

// foreign refuses writes to foreign tables with masked columns.
func (o *oracle) foreign(r *catalog.Relation) error {
	if c := o.first(r, r.Columns, nil); c != nil {
		return tells(r, c, "it is not known what the other server checks a write against", "")
	}
	return nil
}

// first is the first hidden column of the list that is not known.
func (o *oracle) first(r *catalog.Relation, columns, known []*catalog.Column) *catalog.Column {
	for _, c := range columns {
		if slices.Contains(known, c) {
			continue
		}
		if o.hidden.has(columnID(r, c)) || slices.ContainsFunc(r.Sources(c), func(s *catalog.Column) bool { return o.hidden.has(columnID(r, s)) }) {
			return c
		}
	}
	return nil
}

// inserted checks new rows: all that is in them is known, so that only what compares
// them with others tells. What they are not given is NULL, which equals nothing, or
// drawn from a sequence or by chance.
func (o *oracle) inserted(w written) error {
	empty := func(c *catalog.Column) bool { return !w.valued(c) }
	for _, k := range w.relation.Constraints {
		switch k.Kind {
		case catalog.UniqueKey:
			given := slices.DeleteFunc(w.relation.Of(k.Columns), empty)
			c := o.first(w.relation, given, nil)
			if c != nil && !slices.ContainsFunc(w.relation.Numbered(k.Plain), empty) {
				return tells(w.relation, c, unique(k), addingRows)
			}
		case catalog.ForeignKey:
			if slices.ContainsFunc(w.relation.Numbered(k.Columns), empty) {
				continue
			}
			if err := o.other(k, refersTo(k)); err != nil {
				return err
			}
		case catalog.Check, catalog.Referenced: // by the row itself; by rows that are there
		}
	}
	return nil
}

// valued reports whether new rows have a value in a column that whoever writes knows.
func (w written) valued(c *catalog.Column) bool {
	return c.Default || slices.Contains(w.given, c) || c.Generated && slices.ContainsFunc(w.relation.Sources(c), w.valued)
}

// set checks changes of rows that are there: what they keep takes part too.
func (o *oracle) set(r *catalog.Relation, s set) error {
	touches := func(columns []*catalog.Column) bool { return slices.ContainsFunc(columns, in(s.columns)) }
	known := slices.DeleteFunc(slices.Clone(s.columns), in(s.kept))
	for _, k := range r.Constraints {
		columns := r.Of(k.Columns)
		if !touches(columns) {
			continue
		}
		var hidden *catalog.Column
		how := ""
		switch k.Kind {
		case catalog.UniqueKey:
			if slices.ContainsFunc(r.Numbered(k.Plain), in(s.null)) {
				continue
			}
			hidden, how = o.first(r, columns, nil), unique(k)
		case catalog.Check:
			hidden, how = o.first(r, columns, known), fmt.Sprintf("%s would tell how what is written compares with it", quotedName(k))
		case catalog.ForeignKey:
			if slices.ContainsFunc(columns, in(s.null)) {
				continue
			}
			hidden, how = o.first(r, columns, known), refersTo(k)
			if err := o.other(k, refersTo(k)); err != nil {
				return err
			}
		case catalog.Referenced:
			hidden, how = o.first(r, columns, nil), referredTo(k)
			if err := o.other(k, how); err != nil {
				return err
			}
		}
		if hidden != nil {
			return tells(r, hidden, how, "")
		}
	}
	return o.computed(r, s, known)
}

// computed checks generated columns, whose expression may fail.
func (o *oracle) computed(r *catalog.Relation, s set, known []*catalog.Column) error {
	for _, g := range r.Columns {
		sources := r.Sources(g)
		if !g.Generated || !slices.ContainsFunc(sources, in(s.columns)) {
			continue
		}
		if c := o.first(r, sources, known); c != nil {
			return tells(r, c, fmt.Sprintf("generated column %s is computed of it and of what is written", catalog.QuoteIdent(g.Name)), "")
		}
	}
	return nil
}

// deleted checks that no row refers to those that are deleted, and what goes with them.
func (o *oracle) deleted(r *catalog.Relation) error {
	at := visit{r.OID, true}
	if o.seen[at] {
		return nil
	}
	o.seen[at] = true
	for _, k := range r.Constraints {
		if k.Kind != catalog.Referenced {
			continue
		}
		if c := o.first(r, r.Of(k.Columns), nil); c != nil {
			return tells(r, c, referredTo(k), "")
		}
		if err := o.other(k, referredTo(k)); err != nil {
			return err
		}
	}
	for _, cascade := range r.Cascades {
		to := o.snapshot.RelationByOID(cascade.To)
		if to == nil || cascade.On&catalog.Deletes == 0 {
			continue
		}
		var err error
		if cascade.Then == catalog.Deletes {
			err = o.deleted(to)
		} else {
			err = o.set(to, set{columns: referring(to, r)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// referring are the columns of a relation by which it refers to another.
func referring(r, to *catalog.Relation) []*catalog.Column {
	var columns []*catalog.Column
	for _, k := range r.Constraints {
		if k.Kind == catalog.ForeignKey && k.Other == to.OID {
			columns = append(columns, r.Of(k.Columns)...)
		}
	}
	return columns
}

// other checks the other end of a foreign key.
func (o *oracle) other(k catalog.Constraint, how string) error {
	r := o.snapshot.RelationByOID(k.Other)
	if r == nil {
		return nil
	}
	if c := o.first(r, r.Of(k.OtherColumns), nil); c != nil {
		return tells(r, c, how, "")
	}
	return nil
}

func in(columns []*catalog.Column) func(*catalog.Column) bool {
	return func(c *catalog.Column) bool { return slices.Contains(columns, c) }
}

func quotedName(k catalog.Constraint) string { return "constraint " + catalog.QuoteIdent(k.Name) }

func unique(k catalog.Constraint) string {
	return fmt.Sprintf("unique index %s would tell whether what is written is there already", catalog.QuoteIdent(k.Name))
}

func refersTo(k catalog.Constraint) string {
	return fmt.Sprintf("foreign key %s would tell whether what is written is there", catalog.QuoteIdent(k.Name))
}

func referredTo(k catalog.Constraint) string {
	return fmt.Sprintf("foreign key %s would tell which rows refer to what is changed", catalog.QuoteIdent(k.Name))
}

const addingRows = "Rows that conflict with none can be added: "

const takeTheRisk = `have a person approve the statement, or leave the column out; a policy that takes the risk says "written": true in the column's mask.`

// tells says that a write would tell of a masked column.
func tells(r *catalog.Relation, c *catalog.Column, how, first string) *query.Error {
	hint := first + takeTheRisk
	if first == "" {
		hint = "H" + takeTheRisk[1:]
	}
	return refusal(columnID(r, c), how, hint)
}
