package rewrite

import (
	"slices"
	"strings"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/query"
)

// writer edits one statement's text, and beside it the tree that the text must have
// afterwards.
type writer struct {
	r      Request
	text   string
	tokens *tokens
	tree   *pg_query.Node // a copy of the judged one; becomes the intended one
	places map[*pg_query.RangeVar]place
	// aliases are those of the subqueries, by the judged names they take the place of.
	aliases map[*pg_query.RangeVar]*pg_query.Alias
	// own are the nodes of the writer's tree, by those of the judged one that masked
	// scans name.
	own   map[any]any
	deep  []*pg_query.ColumnRef          // of names with a schema: schema.table.column
	parts map[*pg_query.Node]*query.Part // the subqueries, by their trees
	edits []edit
	quiet bool // what EXPLAIN estimates is not shown

	// By where they stand in text, since the tree holds the source of SET (a, b) = …
	// once for each column: what holds a reference, the items of lists without a name
	// that it stands in, and what holds a relation's name.
	columns map[int32][]*pg_query.Node
	unnamed map[int32][]*pg_query.ResTarget
	holders map[int32][]*pg_query.Node
	refs    map[*pg_query.ColumnRef]*pg_query.ColumnRef // by those of the judged tree
}

// place is where a relation of the judged tree stands in the writer's.
type place struct {
	holder *pg_query.Node             // what a subquery would replace; nil for what is changed, not read
	rv     *pg_query.RangeVar         // its name
	sample *pg_query.RangeTableSample // set when the holder is TABLESAMPLE
}

func newWriter(r Request, scans []*maskedScan) (*writer, error) {
	w := &writer{r: r, text: r.Analysis.Statement.Text, places: map[*pg_query.RangeVar]place{}, aliases: map[*pg_query.RangeVar]*pg_query.Alias{},
		own: map[any]any{}, columns: map[int32][]*pg_query.Node{}, unnamed: map[int32][]*pg_query.ResTarget{}, holders: map[int32][]*pg_query.Node{}, refs: map[*pg_query.ColumnRef]*pg_query.ColumnRef{}}
	for _, scan := range scans {
		if group := scan.GroupedByKey; group != nil {
			w.own[group.Select] = nil
		}
		for _, row := range scan.Rows {
			w.own[row.Node] = nil
		}
	}
	w.tree = r.Analysis.Statement.Copy(w.place)
	if len(r.Analysis.Targets) > 0 {
		walk(w.tree, w.hold)
	}
	var err error
	if w.tokens, err = scanTokens(w.text); err != nil {
		return nil, err
	}
	return w, nil
}

// place notes where the names of relations stand. The pairs come from outside in: a
// node before the name it holds.
func (w *writer) place(judged, own any) {
	if _, wanted := w.own[judged]; wanted {
		w.own[judged] = own
	}
	switch judged := judged.(type) {
	case *pg_query.RangeVar:
		if rv, ok := own.(*pg_query.RangeVar); ok {
			p := w.places[judged]
			p.rv = rv
			w.places[judged] = p
		}
	case *pg_query.ColumnRef:
		ref, ok := own.(*pg_query.ColumnRef)
		if !ok {
			return
		}
		if len(ref.Fields) > 2 {
			w.deep = append(w.deep, ref)
		}
		if len(w.r.Analysis.Targets) > 0 {
			w.refs[judged] = ref
		}
	case *pg_query.Node:
		node, ok := own.(*pg_query.Node)
		if !ok {
			return
		}
		if rv := judged.GetRangeTableSample().GetRelation().GetRangeVar(); rv != nil {
			w.places[rv] = place{holder: node, sample: node.GetRangeTableSample()}
		}
		if rv := judged.GetRangeVar(); rv != nil && w.places[rv].holder == nil {
			w.places[rv] = place{holder: node}
		}
	}
}

// hold notes what holds names, by where these stand.
func (w *writer) hold(node *pg_query.Node) {
	switch n := node.Node.(type) {
	case *pg_query.Node_ColumnRef:
		w.columns[n.ColumnRef.Location] = append(w.columns[n.ColumnRef.Location], node)
	case *pg_query.Node_RangeVar:
		w.holders[n.RangeVar.Location] = append(w.holders[n.RangeVar.Location], node)
	case *pg_query.Node_ResTarget:
		if n.ResTarget.Name == "" {
			walk(n.ResTarget.Val, func(inside *pg_query.Node) {
				if ref := inside.GetColumnRef(); ref != nil {
					w.unnamed[ref.Location] = append(w.unnamed[ref.Location], n.ResTarget)
				}
			})
		}
	}
}

func (w *writer) write(scans []*maskedScan, refs []*maskedRef) error {
	for _, scan := range scans {
		w.aliases[scan.Node] = scan.Node.Alias
		if scan.Node.Alias == nil {
			w.aliases[scan.Node] = &pg_query.Alias{} // named below, when it is known what is replaced
		}
	}
	for _, scan := range scans {
		if err := w.mask(scan); err != nil {
			return err
		}
	}
	if err := w.groupKeys(scans); err != nil {
		return err
	}
	if err := w.rows(scans); err != nil {
		return err
	}
	if err := w.dropSchemas(scans); err != nil {
		return err
	}
	for _, ref := range refs {
		if err := w.refer(ref); err != nil {
			return err
		}
	}
	if w.r.Qualify {
		if err := w.qualify(); err != nil {
			return err
		}
	}
	if explained := w.tree.GetExplainStmt(); explained != nil && (w.quiet || len(scans)+len(refs) > 0) {
		if err := w.withoutCosts(explained); err != nil {
			return err
		}
	}
	slices.SortStableFunc(w.edits, func(a, b edit) int { return a.start - b.start })
	return nil
}

func (w *writer) edit(start, end int, text string) {
	w.edits = append(w.edits, edit{start: start, end: end, text: text, removed: utf8.RuneCountInString(w.text[start:end])})
}

// verified makes the statement and parses it again: it must have the intended tree.
func (w *writer) verified() (string, error) {
	sql, ok := apply(w.text, w.edits)
	if !ok {
		return "", internal("changes to it overlap")
	}
	if query.SameTree(sql, w.tree, w.parts) {
		return sql, nil
	}
	tree, err := parseOne(sql)
	if err != nil {
		return "", err
	}
	if at := match(w.tree, tree); at != "" {
		return "", internal("it would not be what was meant (" + at + ")")
	}
	return sql, nil
}

// mask puts a subquery in the place of a relation.
func (w *writer) mask(scan *maskedScan) error {
	if scan.Copied != nil {
		return w.copyQuery(scan)
	}
	p, ok := w.places[scan.Node]
	if !ok || p.holder == nil {
		return internal("the place of " + scan.Relation.ID() + " was not found")
	}
	copies := w.holders[p.rv.Location]
	first, last, err := w.relationTokens(p.rv)
	if err != nil {
		return err
	}
	sample, err := w.takeSample(p, scan)
	if err != nil {
		return err
	}
	body, err := subquery(scan, w.r.Snapshot, !p.rv.Inh, sample)
	if err != nil {
		return err
	}
	sub, err := w.parseSubquery(body, p.sample != nil)
	if err != nil {
		return err
	}
	if p.sample != nil {
		from := sub.GetSelectStmt().FromClause
		from[0] = &pg_query.Node{Node: &pg_query.Node_RangeTableSample{RangeTableSample: &pg_query.RangeTableSample{
			Relation: from[0].GetRangeTableSample().GetRelation(), Method: p.sample.Method, Args: p.sample.Args, Repeatable: p.sample.Repeatable}}}
	}
	alias, aliasText := p.rv.Alias, ""
	if alias == nil {
		name, err := w.alias(scan)
		if err != nil {
			return err
		}
		alias = w.aliases[scan.Node]
		alias.Aliasname = name
		aliasText = " AS " + quote(name)
	}
	prefix := ""
	if w.tokens.is(first-1, pg_query.Token_TABLE) { // the command TABLE name
		first--
		prefix = "SELECT * FROM "
	}
	p.holder.Node = &pg_query.Node_RangeSubselect{RangeSubselect: &pg_query.RangeSubselect{Subquery: sub, Alias: alias}}
	for _, holder := range copies {
		holder.Node = p.holder.Node
	}
	w.edit(w.tokens.start(first), w.tokens.end(last), prefix+"("+body+")"+aliasText)
	return nil
}

// relationTokens bounds a relation's name with what belongs to it: ONLY, parentheses
// after ONLY, the star that is its opposite.
func (w *writer) relationTokens(rv *pg_query.RangeVar) (first, last int, err error) {
	lost := internal("the name of " + rv.Relname + " was not found in its text")
	first = w.tokens.at(rv.Location)
	last = w.tokens.dotted(first, nameParts(rv))
	if first < 0 || last < 0 {
		return 0, 0, lost
	}
	switch {
	case rv.Inh:
		if w.tokens.is(last+1, star) {
			last++
		}
	case w.tokens.is(first-1, pg_query.Token_ONLY):
		first--
	case w.tokens.is(first-1, openParen) && w.tokens.is(first-2, pg_query.Token_ONLY) && w.tokens.is(last+1, closeParen):
		first, last = first-2, last+1
	default:
		return 0, 0, lost
	}
	return first, last, nil
}

func nameParts(rv *pg_query.RangeVar) int {
	switch {
	case rv.Catalogname != "":
		return 3
	case rv.Schemaname != "":
		return 2
	default:
		return 1
	}
}

// takeSample takes TABLESAMPLE out of the text, to be put into the subquery.
func (w *writer) takeSample(p place, scan *maskedScan) (string, error) {
	if p.sample == nil {
		return "", nil
	}
	for _, n := range append([]*pg_query.Node{p.sample.Repeatable}, p.sample.Args...) {
		if findColumnRef(n) {
			return "", refusal(scan.first, "may not be read by TABLESAMPLE with arguments that are columns", "Use a constant or a parameter.")
		}
	}
	lost := internal("its TABLESAMPLE was not found in its text")
	method := w.tokens.at(p.sample.Location)
	last := w.tokens.dotted(method, len(p.sample.Method))
	if method < 0 || last < 0 || !w.tokens.is(method-1, pg_query.Token_TABLESAMPLE) {
		return "", lost
	}
	if last = w.tokens.parenthesized(last + 1); last < 0 {
		return "", lost
	}
	if w.tokens.is(last+1, pg_query.Token_REPEATABLE) {
		if last = w.tokens.parenthesized(last + 2); last < 0 {
			return "", lost
		}
	}
	start, end := w.tokens.start(method-1), w.tokens.end(last)
	w.edit(start, end, "")
	return w.text[start:end], nil
}

func findColumnRef(n *pg_query.Node) bool {
	found := false
	walk(n, func(n *pg_query.Node) { found = found || n.GetColumnRef() != nil })
	return found
}

// parseOne parses a text of exactly one statement.
func parseOne(sql string) (*pg_query.Node, error) {
	result, err := query.ParseTree(sql)
	if err != nil {
		return nil, internal("it would not parse: " + err.Error())
	}
	if len(result.Stmts) != 1 || result.Stmts[0].Stmt.GetNode() == nil {
		return nil, internal("it is not one statement")
	}
	return result.Stmts[0].Stmt, nil
}

// quote quotes a name, whether it needs it or not: which words are reserved differs
// between server versions.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a string so that it means the same whatever
// standard_conforming_strings is.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(quoted, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
