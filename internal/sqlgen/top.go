package sqlgen

import (
	"fmt"
	"strings"
)

const topDepth = 3

// top writes a whole statement that reads.
func (g *Generator) top() *Statement {
	s := &scope{}
	depth := g.Below(topDepth + 1)
	with := ""
	if g.oneIn(6) {
		with = g.with(s, depth-1)
	}
	switch g.Below(8) {
	case 5:
		return g.unioned(s, with, depth)
	case 6:
		return g.starred(s, with, depth)
	default:
		return g.selected(s, with, depth)
	}
}

// outputs are the columns of a statement, some of them without a name.
func (g *Generator) outputs(s *scope) []Column {
	var columns []Column
	for range 1 + g.Below(mostColumns) {
		c := Column{Sort: pick(g.Choices, comparable)}
		if len(g.enums) > 0 && g.oneIn(10) {
			c.Sort = pick(g.Choices, g.enums)
		}
		if g.Below(3) == 0 {
			g.aliases++
			c.Name = fmt.Sprintf("c%d", g.aliases)
		}
		columns = append(columns, c)
	}
	return columns
}

func (g *Generator) selected(s *scope, with string, depth int) *Statement {
	st := &Statement{Kind: "select"}
	columns := g.outputs(s)
	q := g.simple(s, columns, depth)
	n := len(q.targets)
	if rows := s.rows(); len(rows) > 0 && q.plain && g.oneIn(10) {
		row := pick(g.Choices, rows)
		q.targets = append(q.targets, g.word(row, "("+row+").*", "ROW("+row+".*)", row+".*"))
		n = 0
	}
	if q.plain && g.oneIn(12) {
		q.targets = append(q.targets, g.systemColumn(s))
		n = 0
	}
	tail := ""
	switch choice := g.Below(6); {
	case choice == 1 && n > 0:
		tail, st.Ordered = g.wholeOrder(n)+g.limit(), true
	case choice == 2 && n > 0 && q.plain && g.Below(2) == 0:
		q.distinct = "DISTINCT ON (1) "
		tail, st.Ordered = g.wholeOrder(n), true
	case choice == 3 && q.plain:
		tail = " ORDER BY " + g.expr(s, pick(g.Choices, s.sortsOr(Int)), 1) + g.word("", " DESC", " NULLS FIRST", " USING <")
	case choice == 4 && q.plain && with == "" && len(s.items) == 1 && s.items[0].table != nil && s.items[0].table.Kind != "m":
		tail = g.word(" FOR UPDATE", " FOR SHARE", " FOR NO KEY UPDATE", " FOR KEY SHARE", " FOR UPDATE SKIP LOCKED", " FOR UPDATE OF "+quote(s.items[0].alias)+" NOWAIT")
		st.Kind = "select for update"
	}
	st.SQL = with + q.text() + tail
	return st
}

// systemColumn writes one that is the same in databases loaded alike.
func (g *Generator) systemColumn(s *scope) string {
	for _, i := range s.items {
		if i.table != nil && (i.table.Kind == "r" || i.table.Kind == "p") {
			return quote(i.alias) + "." + g.word("ctid", "tableoid::regclass", "cmin IS NULL", "xmin IS NOT NULL", "tableoid::regclass::text")
		}
	}
	return "1"
}

func (g *Generator) unioned(s *scope, with string, depth int) *Statement {
	st := &Statement{Kind: "set operation"}
	columns := g.outputs(s)
	for i := range columns {
		g.aliases++
		columns[i].Name = fmt.Sprintf("c%d", g.aliases)
	}
	left := g.combined(s, columns, depth-1)
	st.SQL = with + left + g.word(" UNION ALL ", " UNION ", " EXCEPT ", " INTERSECT ", " EXCEPT ALL ", " INTERSECT ALL ") + g.combined(s, columns, depth-1)
	if g.Below(2) == 0 {
		st.SQL += g.wholeOrder(len(columns)) + g.limit()
		st.Ordered = true
	}
	return st
}

// starred writes a statement whose columns are those of FROM.
func (g *Generator) starred(s *scope, with string, depth int) *Statement {
	st := &Statement{Kind: "star"}
	if g.oneIn(6) {
		st.SQL = with + "TABLE " + g.tableName(pick(g.Choices, g.schema.Tables))
		return st
	}
	from := g.from(s, depth-1)
	target := "*"
	if g.Below(2) == 0 {
		target = quote(pick(g.Choices, s.items).alias) + ".*"
		if g.Below(2) == 0 {
			target += ", " + g.expr(s, pick(g.Choices, s.sortsOr(Int)), depth-1)
		}
	}
	st.SQL = with + "SELECT " + target + " FROM " + from
	if g.Below(2) == 0 {
		st.SQL += " WHERE " + g.condition(s, depth-1)
	}
	if keys := s.keys(); keys != nil && g.Below(2) == 0 {
		st.SQL += " ORDER BY " + strings.Join(keys, ", ") + g.limit()
		st.Ordered = true
	}
	return st
}
