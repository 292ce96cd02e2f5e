package sqlgen

import (
	"fmt"
	"slices"
	"strings"
)

// writable are tables with a primary key.
func (g *Generator) writable() *Table {
	var tables []*Table
	for _, t := range g.schema.Tables {
		if (t.Kind == "r" || t.Kind == "p") && len(t.Key) > 0 {
			tables = append(tables, t)
		}
	}
	return pick(g.Choices, tables)
}

// writing is a statement that writes to a table: in the end everything is as it was.
func writing(kind string, t *Table) *Statement {
	return &Statement{Kind: kind, Before: []string{"BEGIN"}, After: []string{"SELECT * FROM " + t.ID(), "ROLLBACK"}}
}

// target writes what is written to, and its scope.
func (g *Generator) target(t *Table) (string, *scope) {
	s := &scope{}
	i := &item{alias: t.Name, table: t, columns: t.Columns, key: t.Key, row: true}
	text := g.tableName(t)
	if g.Below(2) == 0 {
		i.alias = g.alias()
		text += " AS " + i.alias
	}
	s.add(i)
	return text, s
}

// returning writes RETURNING now and then.
func (g *Generator) returning(s *scope) string {
	switch g.Below(5) {
	case 1:
		return " RETURNING *"
	case 2:
		return " RETURNING " + g.expr(s, pick(g.Choices, s.sortsOr(Int)), 1) + ", " + g.expr(s, pick(g.Choices, s.sortsOr(Int)), 1) + " AS r"
	case 3:
		return " RETURNING " + quote(s.items[0].alias) + "." + quote(s.items[0].columns[0].Name)
	case 4:
		return " RETURNING " + quote(s.items[0].alias) + ".*"
	default:
		return ""
	}
}

// identifying writes a condition by the key, so that few rows are touched.
func (g *Generator) identifying(s *scope) string {
	i := s.items[0]
	key := i.table.column(i.key[0])
	ref := quote(i.alias) + "." + quote(key.Name)
	switch g.Below(4) {
	case 1:
		return ref + " IN (" + g.literal(key.Sort) + ", " + g.literal(key.Sort) + ")"
	case 2:
		return ref + " > " + g.literal(key.Sort) + " AND " + g.condition(s, 1)
	case 3:
		return g.condition(s, 1)
	default:
		return ref + " = " + g.literal(key.Sort)
	}
}

// fresh writes a value for a column of a new row.
func (g *Generator) fresh(t *Table, c Column) string {
	if slices.Contains(t.Key, c.Name) && c.Sort == Int {
		return g.word("901", "902", "1", "2", "903")
	}
	if c.Sort == Text && c.Type == "text" && slices.Contains(t.Key, c.Name) {
		return g.word("'new-1'", "'new-2'")
	}
	return g.literal(c.Sort)
}

func (g *Generator) insert() *Statement {
	t := g.writable()
	st := writing("insert", t)
	text, s := g.target(t)
	var columns []Column
	for _, c := range t.Columns {
		if slices.Contains(t.Key, c.Name) || c.NotNull || g.Below(2) == 0 {
			columns = append(columns, c)
		}
	}
	st.SQL = "INSERT INTO " + text + " (" + names(columns) + ") "
	if g.oneIn(3) {
		st.SQL += g.insertQuery(t, columns)
		st.Kind = "insert select"
	} else {
		st.SQL += "VALUES " + g.newRow(t, columns)
		if g.oneIn(4) {
			st.SQL += ", " + g.newRow(t, columns)
		}
	}
	st.SQL += g.conflict(t, s) + g.returning(s)
	return st
}

func (g *Generator) newRow(t *Table, columns []Column) string {
	var row []string
	for _, c := range columns {
		row = append(row, g.fresh(t, c))
	}
	return "(" + strings.Join(row, ", ") + ")"
}

// insertQuery selects rows to insert; whole numbers of the key are moved out of the way.
func (g *Generator) insertQuery(t *Table, columns []Column) string {
	s := &scope{}
	from := g.tableReference(s, pick(g.Choices, g.schema.Tables))
	var row []string
	for _, c := range columns {
		text := g.expr(s, c.Sort, 1)
		if slices.Contains(t.Key, c.Name) {
			text = g.fresh(t, c)
		}
		row = append(row, text)
	}
	return "SELECT " + strings.Join(row, ", ") + " FROM " + from + " WHERE " + g.condition(s, 1) + g.wholeOrder(len(row)) + " LIMIT 1"
}

func (g *Generator) conflict(t *Table, s *scope) string {
	switch g.Below(5) {
	case 2:
		return " ON CONFLICT DO NOTHING"
	case 3:
		return " ON CONFLICT (" + strings.Join(quoted(t.Key), ", ") + ") DO NOTHING"
	case 4:
		c := g.settable(t)
		both := &scope{}
		both.add(s.items[0])
		both.add(&item{alias: "excluded", columns: t.Columns})
		text := fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s = %s", strings.Join(quoted(t.Key), ", "), quote(c.Name), g.expr(both, c.Sort, 1))
		if g.Below(2) == 0 {
			text += " WHERE " + g.condition(both, 1)
		}
		return text
	default:
		return ""
	}
}

func quoted(list []string) []string {
	var out []string
	for _, name := range list {
		out = append(out, quote(name))
	}
	return out
}

// settable is a column that is not of the key.
func (g *Generator) settable(t *Table) Column {
	columns := slices.DeleteFunc(slices.Clone(t.Columns), func(c Column) bool { return slices.Contains(t.Key, c.Name) })
	return pick(g.Choices, columns)
}

func (g *Generator) update() *Statement {
	t := g.writable()
	st := writing("update", t)
	text, s := g.target(t)
	from, join := "", ""
	if g.oneIn(3) {
		from, join = g.partner(s)
		st.Kind = "update from"
	}
	var sets, seen []string
	for range 1 + g.Below(2) {
		c := g.settable(t)
		if slices.Contains(seen, c.Name) {
			continue
		}
		seen = append(seen, c.Name)
		switch g.Below(8) {
		case 6:
			sets = append(sets, "("+quote(c.Name)+") = ROW("+g.expr(s, c.Sort, 1)+")")
		case 7:
			sets = append(sets, quote(c.Name)+" = DEFAULT")
		default:
			sets = append(sets, quote(c.Name)+" = "+g.expr(s, c.Sort, 1))
		}
	}
	st.SQL = "UPDATE " + text + " SET " + strings.Join(sets, ", ")
	if from != "" {
		st.SQL += " FROM " + from
		join += " AND "
	}
	st.SQL += " WHERE " + join + g.identifying(s) + g.returning(s)
	return st
}

func (g *Generator) remove() *Statement {
	t := g.writable()
	st := writing("delete", t)
	text, s := g.target(t)
	using, join := "", ""
	if g.oneIn(3) {
		using, join = g.partner(s)
		st.Kind = "delete using"
	}
	st.SQL = "DELETE FROM " + text
	if using != "" {
		st.SQL += " USING " + using
		join += " AND "
	}
	st.SQL += " WHERE " + join + g.identifying(s) + g.returning(s)
	return st
}

// merge writes a MERGE of one row or another table.
func (g *Generator) merge() *Statement {
	t := g.writable()
	st := writing("merge", t)
	text, s := g.target(t)
	from, join := g.partner(s)
	var when []string
	for range 1 + g.Below(2) {
		and := ""
		if g.Below(2) == 0 {
			and = " AND " + g.condition(s, 1)
		}
		c := g.settable(t)
		switch g.Below(4) {
		case 0:
			when = append(when, "WHEN MATCHED"+and+" THEN UPDATE SET "+quote(c.Name)+" = "+g.expr(s, c.Sort, 1))
		case 1:
			when = append(when, "WHEN MATCHED"+and+" THEN DELETE")
		case 2:
			when = append(when, "WHEN MATCHED"+and+" THEN DO NOTHING")
		default:
			source := &scope{}
			source.add(s.items[1])
			var row []string
			for _, c := range t.Columns {
				row = append(row, g.word(g.fresh(t, c), g.leaf(source, c.Sort)))
			}
			when = append(when, "WHEN NOT MATCHED THEN INSERT ("+names(t.Columns)+") VALUES ("+strings.Join(row, ", ")+")")
		}
	}
	st.SQL = "MERGE INTO " + text + " USING " + from + " ON " + join + " " + strings.Join(when, " ")
	return st
}

// partner is another table of which one row at most belongs to a row of the target.
func (g *Generator) partner(s *scope) (from, join string) {
	var tables []*Table
	for _, t := range g.schema.Tables {
		if (t.Kind == "r" || t.Kind == "p") && len(t.Key) == 1 && !t.Parent && t.column(t.Key[0]).Sort == Int {
			tables = append(tables, t)
		}
	}
	t := pick(g.Choices, tables)
	refs := g.refs(&scope{items: s.items}, Int)
	i := &item{alias: g.alias(), table: t, columns: t.Columns, key: t.Key, row: true}
	s.add(i)
	if len(refs) == 0 {
		refs = []string{"1"}
	}
	return g.tableName(t) + " " + i.alias, i.alias + "." + quote(t.Key[0]) + " = " + pick(g.Choices, refs)
}
