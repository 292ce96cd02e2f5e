package query

import (
	"sort"

	"github.com/sallyport/sallyport/internal/catalog"
)

// A viewSummary is what reading a view reads, from its definition: analysed once
// for a snapshot and put into every statement that reads the view.
type viewSummary struct {
	tables     []Table
	functions  []calledFunction
	unresolved []string
	relations  []catalog.OID
	columns    []summaryColumn
	outputs    [][]flow // per output column
}

// A summaryColumn is a column beneath a view; its uses are those it has whatever
// the statement asks of the view.
type summaryColumn struct {
	leaf
	uses uses
}

// A flow says that a column beneath takes part in an output column.
type flow struct {
	column int
	plain  bool
	agg    bool
}

// edges are those of the view's i-th output column, in a statement.
func (v *viewSummary) edges(s *state, i int) []edge {
	if i < 0 || i >= len(v.outputs) {
		return nil
	}
	edges := make([]edge, 0, len(v.outputs[i]))
	for _, f := range v.outputs[i] {
		edges = append(edges, edge{to: s.leafCell(v.columns[f.column].leaf), plain: f.plain, agg: f.agg})
	}
	return edges
}

// Definition returns the analysis of the SELECT that a view is, nil of other
// relations, of PostgreSQL's own views, and where it cannot be analysed.
func (scan *Scan) Definition() *Analysis {
	r := scan.Relation
	if r.Kind != catalog.View || r.System() || scan.analyzer == nil {
		return nil
	}
	if known, ok := scan.analyzer.defined.Load(r.OID); ok {
		return known.(*Analysis) //nolint:forcetypeassert // stored below
	}
	var a *Analysis
	statements, err := Parse(r.Definition, Limits{})
	if err == nil && len(statements) == 1 && statements[0].Node.GetSelectStmt() != nil {
		a = scan.analyzer.Analyze(statements[0], Env{})
	}
	scan.analyzer.defined.Store(r.OID, a)
	return a
}

// lineage tells rewriting what each column of a relation is made of.
func (s *state) lineage(r *catalog.Relation) map[string]Lineage {
	if known, ok := s.analyzer.lineages.Load(r.OID); ok {
		return known.(map[string]Lineage) //nolint:forcetypeassert // stored below
	}
	summary, kin := s.viewOf(r), s.kin(r, false)
	if summary == nil && len(kin) == 0 && !computes(r) {
		return nil
	}
	all := make(map[string]Lineage, len(r.Columns))
	for i, c := range r.Columns {
		var l Lineage
		sources := r.Sources(c)
		switch {
		case summary != nil:
			l = summary.lineage(i)
		case len(sources) > 0:
			for _, source := range sources {
				l.Bases = append(l.Bases, columnID(r, source.Name))
			}
		default:
			l = Lineage{Bases: []string{columnID(r, c.Name)}, Plain: true}
		}
		for _, k := range kin {
			same := k.Column(c.Name)
			if same == nil {
				continue
			}
			l.Bases = append(l.Bases, columnID(k, c.Name))
			for _, source := range k.Sources(same) {
				l.Bases, l.Plain = append(l.Bases, columnID(k, source.Name)), false
			}
		}
		all[c.Name] = l
	}
	s.analyzer.lineages.Store(r.OID, all)
	return all
}

// computes reports whether the relation has generated columns.
func computes(r *catalog.Relation) bool {
	for _, c := range r.Columns {
		if len(c.MadeOf) > 0 {
			return true
		}
	}
	return false
}

func (v *viewSummary) lineage(i int) Lineage {
	if i >= len(v.outputs) {
		return Lineage{}
	}
	l := Lineage{}
	tables, plain := map[string]bool{}, true
	seen := map[string]bool{}
	for _, f := range v.outputs[i] {
		c := v.columns[f.column]
		if !seen[c.id] {
			seen[c.id] = true
			l.Bases = append(l.Bases, c.id)
		}
		if c.base {
			tables[c.id] = true
		}
		plain = plain && f.plain
	}
	l.Plain = plain && len(tables) == 1
	return l
}

// viewOf returns the summary of a view or materialized view whose definition is
// known, nil for other relations. Views of PostgreSQL itself are leaves.
func (s *state) viewOf(r *catalog.Relation) *viewSummary {
	if r == nil || r.System() || r.Kind != catalog.View && r.Kind != catalog.MaterializedView {
		return nil
	}
	return s.analyzer.view(r, s.depth)
}

const maxViewDepth = 64

func (a *Analyzer) view(r *catalog.Relation, depth int) *viewSummary {
	if known, ok := a.views.Load(r.OID); ok {
		return known.(*viewSummary) //nolint:forcetypeassert // only this function stores
	}
	if depth > maxViewDepth {
		return &viewSummary{unresolved: []string{"view " + quoted(r.Schema, r.Name) + ": nested too deeply"}}
	}
	summary := a.summarize(r, depth)
	a.views.Store(r.OID, summary)
	return summary
}

func (a *Analyzer) summarize(r *catalog.Relation, depth int) *viewSummary {
	where := "view " + quoted(r.Schema, r.Name)
	statements, err := Parse(r.Definition, Limits{})
	if err != nil || len(statements) != 1 || statements[0].Node.GetSelectStmt() == nil {
		return &viewSummary{unresolved: []string{where}}
	}
	s := a.newState(statements[0], Env{})
	s.depth = depth + 1
	s.via = r.ID()
	outputs := s.selectStatement(statements[0].Node.GetSelectStmt(), nil, nil)
	s.propagate()

	summary := &viewSummary{functions: s.functionList(), relations: s.out.Relations}
	for _, text := range s.unresolvedList() {
		summary.unresolved = append(summary.unresolved, where+": "+text)
	}
	if s.out.Refusal != nil {
		summary.unresolved = append(summary.unresolved, where+": "+s.out.Refusal.Message)
	}
	if len(outputs) != len(r.Columns) {
		summary.unresolved = append(summary.unresolved, where+": columns")
	}
	summary.tables = s.tableList()
	s.summarizeColumns(summary, outputs)
	return summary
}

func (s *state) summarizeColumns(summary *viewSummary, outputs []output) {
	index := map[*cell]int{}
	for _, c := range s.cells {
		if c.leaf != nil {
			index[c] = len(summary.columns)
			summary.columns = append(summary.columns, summaryColumn{leaf: *c.leaf, uses: c.uses})
		}
	}
	made := map[int]bool{}
	for _, o := range outputs {
		r := reach{index: index, flows: map[flow]bool{}, visited: map[visit]bool{}}
		r.follow(o.value.edges, true, false)
		summary.outputs = append(summary.outputs, r.sorted())
		for f := range r.flows {
			made[f.column] = true
		}
	}
	for i := range summary.columns { // read, but neither shown nor used: as in finish
		if summary.columns[i].uses == 0 && !made[i] {
			summary.columns[i].uses = derived
		}
	}
}

// reach follows a value to every catalog column that takes part in it.
type reach struct {
	index   map[*cell]int
	flows   map[flow]bool
	visited map[visit]bool
}

type visit struct {
	cell       *cell
	plain, agg bool
}

func (r *reach) follow(edges []edge, plain, agg bool) {
	for _, e := range edges {
		v := visit{e.to, plain && e.plain, agg || e.agg}
		if r.visited[v] {
			continue
		}
		r.visited[v] = true
		if i, ok := r.index[e.to]; ok {
			r.flows[flow{i, v.plain, v.agg}] = true
		}
		r.follow(e.to.from, v.plain, v.agg)
	}
}

func (r *reach) sorted() []flow {
	flows := make([]flow, 0, len(r.flows))
	for f := range r.flows {
		flows = append(flows, f)
	}
	sort.Slice(flows, func(i, j int) bool {
		a, b := flows[i], flows[j]
		if a.column != b.column {
			return a.column < b.column
		}
		return a.plain && !b.plain || a.plain == b.plain && a.agg && !b.agg
	})
	return flows
}
