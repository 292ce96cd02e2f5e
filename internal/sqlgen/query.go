package sqlgen

import (
	"fmt"
	"slices"
	"strings"
)

const mostColumns = 4

// query writes a query that stands inside of a statement: with columns of the sorts
// that are wanted, or any, which have names of their own.
func (g *Generator) query(outer *scope, want []Sort, depth int) (string, []Column) {
	s := outer.inner()
	with := ""
	if depth > 0 && g.oneIn(8) {
		with = g.with(s, depth-1)
	}
	if want == nil {
		for range 1 + g.Below(mostColumns) {
			want = append(want, pick(g.Choices, comparable))
		}
	}
	var columns []Column
	for _, sort := range want {
		g.aliases++
		columns = append(columns, Column{Name: fmt.Sprintf("c%d", g.aliases), Sort: sort})
	}
	text := g.combined(s, columns, depth)
	if g.oneIn(6) {
		text += g.wholeOrder(len(columns)) + g.limit()
	}
	return with + text, columns
}

// combined writes a SELECT or several put together.
func (g *Generator) combined(s *scope, columns []Column, depth int) string {
	if depth > 0 && g.oneIn(8) {
		left, right := g.combined(s, columns, depth-1), g.combined(s, columns, depth-1)
		return left + g.word(" UNION ALL ", " UNION ", " EXCEPT ", " INTERSECT ", " EXCEPT ALL ", " INTERSECT ALL ") + right
	}
	if g.oneIn(40) {
		var row []string
		for _, c := range columns {
			row = append(row, g.literal(c.Sort))
		}
		return "SELECT * FROM (VALUES (" + strings.Join(row, ", ") + ")) v (" + names(columns) + ")"
	}
	own := &scope{outer: s.outer, common: s.common}
	return g.simple(own, columns, depth).text()
}

func names(columns []Column) string {
	var list []string
	for _, c := range columns {
		list = append(list, quote(c.Name))
	}
	return strings.Join(list, ", ")
}

// selection is a SELECT in parts.
type selection struct {
	distinct, from, where, group, having string
	targets                              []string
	plain                                bool // rows are those of FROM
}

func (q *selection) text() string {
	return "SELECT " + q.distinct + strings.Join(q.targets, ", ") + q.from + q.where + q.group + q.having
}

// simple writes a SELECT of the given columns. A column without a name is not named.
func (g *Generator) simple(s *scope, columns []Column, depth int) *selection {
	q := &selection{plain: true}
	q.from = " FROM " + g.from(s, depth)
	if g.Below(3) > 0 {
		q.where = " WHERE " + g.condition(s, depth)
	}
	if g.oneIn(4) {
		g.group(s, q, depth)
	}
	for _, c := range columns {
		text := ""
		if !s.grouped && g.oneIn(8) {
			text = g.windowed(s, c.Sort)
			q.plain = q.plain && text == ""
		}
		if text == "" {
			text = g.expr(s, c.Sort, depth)
		}
		if c.Name != "" {
			text += g.word(" AS ", " AS ", " ") + quote(c.Name)
		}
		q.targets = append(q.targets, text)
	}
	if q.plain && g.oneIn(8) {
		q.distinct, q.plain = "DISTINCT ", false
	}
	return q
}

// group makes the query one that groups.
func (g *Generator) group(s *scope, q *selection, depth int) {
	q.plain = false
	if keyed := g.keyed(s); keyed != nil && g.Below(2) == 0 {
		q.group = " GROUP BY " + strings.Join(keyed, ", ")
		g.having(s, q, depth)
		return
	}
	var terms []term
	for range g.Below(3) {
		sort := pick(g.Choices, s.sortsOr(Int))
		if refs := g.refs(&scope{items: s.items, names: s.names}, sort); len(refs) > 0 {
			terms = append(terms, term{pick(g.Choices, refs), sort})
		}
	}
	if len(terms) > 0 && g.oneIn(3) {
		form := pick(g.Choices, []string{"upper(%s)", "coalesce(%s, 'none')", "left(%s, 1)"})
		if terms[0].sort == Text {
			terms[0].sql = fmt.Sprintf(form, terms[0].sql)
		}
	}
	s.grouped, s.terms = true, terms
	if len(terms) > 0 {
		q.group = " GROUP BY " + g.grouping(terms)
	}
	g.having(s, q, depth)
}

// grouping writes what is grouped by, in one of the ways there are.
func (g *Generator) grouping(terms []term) string {
	var list []string
	for _, t := range terms {
		list = append(list, t.sql)
	}
	all := strings.Join(list, ", ")
	switch g.Below(8) {
	case 4:
		return "ROLLUP (" + all + ")"
	case 5:
		return "CUBE (" + all + ")"
	case 6:
		return "GROUPING SETS ((" + all + "), ())"
	case 7:
		return "DISTINCT " + all
	default:
		return all
	}
}

func (g *Generator) having(s *scope, q *selection, depth int) {
	s.grouped = true
	if g.oneIn(3) {
		if g.Below(2) == 0 {
			q.having = " HAVING count(*) > " + g.word("0", "1")
		} else {
			q.having = " HAVING " + g.condition(s, depth-1)
		}
	}
}

// keyed groups by the primary key of a table, so that all of its columns may be used.
func (g *Generator) keyed(s *scope) []string {
	for _, i := range s.items {
		if i.table == nil || i.table.Kind == "v" || i.table.Kind == "m" || len(i.table.Key) == 0 {
			continue
		}
		var keys []string
		for _, k := range i.table.Key {
			keys = append(keys, g.spelled(s, i, k))
		}
		for _, c := range i.columns {
			s.terms = append(s.terms, term{g.spelled(s, i, c.Name), c.Sort})
		}
		return keys
	}
	return nil
}

// wholeOrder orders by all columns: rows that sort alike are equal.
func (g *Generator) wholeOrder(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprint(i+1)+g.word("", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"))
	}
	return " ORDER BY " + strings.Join(list, ", ")
}

func (g *Generator) limit() string {
	switch g.Below(7) {
	case 1:
		return " LIMIT 2"
	case 2:
		return " LIMIT 3 OFFSET 1"
	case 3:
		return " OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY"
	case 4:
		return " FETCH FIRST 2 ROWS WITH TIES"
	case 5:
		return " LIMIT ALL"
	case 6:
		return " LIMIT (SELECT 2)"
	default:
		return ""
	}
}

// with writes queries of WITH and puts them into the scope.
func (g *Generator) with(s *scope, depth int) string {
	var list []string
	recursive := g.oneIn(4)
	s.common = slices.Clone(s.common)
	for range 1 + g.Below(2) {
		i := &item{alias: "w" + g.alias()[1:]}
		if recursive {
			i.columns = []Column{{Name: i.alias + "_n", Sort: Int}, {Name: i.alias + "_v", Sort: Text}}
			list = append(list, g.recursive(s, i, depth))
		} else {
			text, columns := g.query(&scope{outer: s.outer, common: s.common}, nil, depth)
			i.columns = columns
			named := ""
			if g.oneIn(3) {
				i.columns = slices.Clone(columns)
				i.columns[0].Name = i.alias + "_1"
				named = " (" + i.columns[0].Name + ")"
			}
			list = append(list, i.alias+named+" AS "+g.word("", "MATERIALIZED ", "NOT MATERIALIZED ")+"("+text+")")
		}
		s.common = append(s.common, i)
	}
	word := "WITH "
	if recursive {
		word = "WITH RECURSIVE "
	}
	return word + strings.Join(list, ", ") + " "
}

// recursive writes a query that ends after three rounds.
func (g *Generator) recursive(s *scope, i *item, depth int) string {
	start := &scope{outer: s.outer, common: s.common}
	n, v := i.columns[0].Name, i.columns[1].Name
	first := g.simple(start, []Column{{Name: n, Sort: Text}}, depth)
	first.targets = append([]string{"1"}, first.targets...)
	var rest string
	switch g.Below(3) {
	case 0:
		rest = fmt.Sprintf("SELECT %s + 1, %s FROM %s WHERE %s < 3", n, v, i.alias, n)
	case 1:
		rest = fmt.Sprintf("SELECT r.%s + 1, upper(r.%s) FROM %s r WHERE r.%s < 3", n, v, i.alias, n)
	default:
		one := &scope{}
		table := g.tableReference(one, pick(g.Choices, g.schema.Tables))
		if text := g.leaf(one, Text); true {
			rest = fmt.Sprintf("SELECT r.%s + 1, %s FROM %s r, %s WHERE r.%s < 2", n, text, i.alias, table, n)
		}
	}
	return fmt.Sprintf("%s (%s, %s) AS (%s %s %s)", i.alias, n, v, first.text(), g.word("UNION", "UNION ALL"), rest)
}
