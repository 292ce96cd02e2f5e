package sqlgen

import (
	"fmt"
	"slices"
	"strings"
)

func (g *Generator) alias() string {
	g.aliases++
	return fmt.Sprintf("a%d", g.aliases)
}

// from writes a FROM list and puts what is in it into the scope.
func (g *Generator) from(s *scope, depth int) string {
	text := g.element(s, depth, nil)
	joined := false
	for range g.Below(3) {
		if depth <= 0 && len(s.items) > 1 {
			break
		}
		if !joined && g.oneIn(5) {
			text += ", " + g.element(s, depth-1, s)
			break // the comma binds less: what was joined before is out of reach
		}
		text += g.join(s, depth-1)
		joined = true
	}
	return text
}

// join writes a JOIN to what is in the scope already.
func (g *Generator) join(s *scope, depth int) string {
	kind := g.word(" JOIN ", " LEFT JOIN ", " INNER JOIN ", " RIGHT JOIN ", " FULL JOIN ", " CROSS JOIN ", " NATURAL JOIN ", " NATURAL LEFT JOIN ")
	before := len(s.items)
	lateral := s
	if strings.Contains(kind, "RIGHT") || strings.Contains(kind, "FULL") {
		lateral = nil
	}
	text := g.element(s, depth, lateral)
	right := s.items[before]
	if strings.Contains(kind, "NATURAL") {
		if !g.mergeable(s, right) {
			return " CROSS JOIN " + text
		}
		for _, c := range right.columns {
			if s.names[c.Name] > 1 {
				s.names[c.Name]--
			}
		}
		return kind + text
	}
	if kind == " CROSS JOIN " {
		return kind + text
	}
	if name := g.shared(s, right); name != "" && g.Below(2) == 0 {
		s.names[name]--
		return kind + text + " USING (" + quote(name) + ")"
	}
	return kind + text + " ON " + g.joinCondition(s, before, strings.Contains(kind, "FULL"), depth)
}

// joinCondition compares a column of what was joined with one of what comes; a full
// join can do nothing else.
func (g *Generator) joinCondition(s *scope, before int, full bool, depth int) string {
	left, right := &scope{items: s.items[:before], names: s.names}, &scope{items: s.items[before:], names: s.names}
	sort := Int
	if common := slices.DeleteFunc(right.sorts(), func(sort Sort) bool { return !slices.Contains(left.sorts(), sort) }); len(common) > 0 {
		sort = pick(g.Choices, common)
	}
	a, b := g.refs(left, sort), g.refs(right, sort)
	if len(a) == 0 || len(b) == 0 {
		return "true"
	}
	text := pick(g.Choices, a) + " = " + pick(g.Choices, b)
	if !full && g.oneIn(4) {
		text += " AND " + g.condition(s, depth)
	}
	return text
}

// shared finds a column to join by with USING: of both sides, once in each.
func (g *Generator) shared(s *scope, right *item) string {
	for _, c := range right.columns {
		if s.names[c.Name] != 2 {
			continue
		}
		for _, i := range s.items[:len(s.items)-1] {
			for _, other := range i.columns {
				if other.Name == c.Name && other.Sort == c.Sort {
					return c.Name
				}
			}
		}
	}
	return ""
}

// mergeable reports whether all columns of one name can be compared.
func (g *Generator) mergeable(s *scope, right *item) bool {
	for _, c := range right.columns {
		n := 0
		for _, i := range s.items[:len(s.items)-1] {
			for _, other := range i.columns {
				if other.Name == c.Name {
					if n++; other.Sort != c.Sort || n > 1 {
						return false
					}
				}
			}
		}
	}
	return right.table == nil || len(right.table.Columns) == len(right.columns)
}

// element writes one item of FROM. What is lateral may refer to the given scope.
func (g *Generator) element(s *scope, depth int, lateral *scope) string {
	choice := g.Below(14)
	switch {
	case choice == 9 && len(s.common) > 0, choice == 8 && len(s.common) > 0:
		return g.reference(s, pick(g.Choices, s.common))
	case choice == 10 && depth > 0:
		return g.derived(s, depth, lateral)
	case choice == 11 && depth > 0:
		return g.derived(s, depth, nil)
	case choice == 12:
		return g.function(s, lateral)
	case choice == 13:
		return g.list(s)
	default:
		return g.tableReference(s, pick(g.Choices, g.schema.Tables))
	}
}

// tableReference writes a table of the catalog.
func (g *Generator) tableReference(s *scope, t *Table) string {
	i := &item{alias: t.Name, table: t, columns: slices.Clone(t.Columns), key: t.Key, row: t.Kind != "f"}
	name := g.tableName(t)
	only := g.oneIn(10) && t.Kind == "r"
	if only {
		name = g.word("ONLY "+name, "ONLY ("+name+")")
	} else if t.Parent && g.oneIn(6) {
		name += " *"
	}
	if t.Parent && !only {
		i.key = nil // children may have the same
	}
	if hidden := slices.ContainsFunc(s.common, func(c *item) bool { return c.alias == t.Name }); hidden && !strings.Contains(name, ".") {
		name = strings.Replace(name, quote(t.Name), quote(t.Schema)+"."+quote(t.Name), 1)
	}
	if s.used(t.Name) || !g.oneIn(4) {
		i.alias = g.alias()
		name += g.word(" ", " AS ") + i.alias + g.renamed(i)
	}
	if (t.Kind == "r" || t.Kind == "p") && g.oneIn(25) {
		name += " TABLESAMPLE " + g.word("bernoulli", "system") + " (100)"
	}
	s.add(i)
	return name
}

func (g *Generator) tableName(t *Table) string {
	bare := quote(t.Name)
	if t.Shadowed {
		return quote(t.Schema) + "." + bare
	}
	switch g.Below(6) {
	case 3:
		return quote(t.Schema) + "." + bare
	case 4:
		return strings.ToUpper(bare[:1]) + bare[1:]
	case 5:
		return escaped(t.Name)
	default:
		return bare
	}
}

// renamed writes a list of column aliases now and then.
func (g *Generator) renamed(i *item) string {
	if !g.oneIn(8) || i.table != nil && (len(i.key) > 0 || len(i.columns) != len(i.table.Columns)) {
		return ""
	}
	var names []string
	for n := range i.columns[:1+g.Below(len(i.columns))] {
		i.columns[n].Name = fmt.Sprintf("%s_%d", i.alias, n+1)
		names = append(names, i.columns[n].Name)
	}
	i.table = nil
	return " (" + strings.Join(names, ", ") + ")"
}

// reference writes the name of a query of WITH.
func (g *Generator) reference(s *scope, common *item) string {
	i := &item{alias: common.alias, columns: slices.Clone(common.columns), row: true}
	text := common.alias
	if s.used(i.alias) || g.Below(2) == 0 {
		i.alias = g.alias()
		text += " " + i.alias + g.renamed(i)
	}
	s.add(i)
	return text
}

// derived writes a subquery in FROM.
func (g *Generator) derived(s *scope, depth int, lateral *scope) string {
	word := ""
	outer := &scope{outer: s.outer, common: s.common, bare: s.bare}
	if lateral != nil {
		word = "LATERAL "
		outer = &scope{items: lateral.items, names: lateral.names, outer: s.outer, common: s.common}
	}
	query, columns := g.query(outer, nil, depth-1)
	i := &item{alias: g.alias(), columns: columns, row: true}
	text := word + "(" + query + ")" + g.word(" ", " AS ") + i.alias + g.renamed(i)
	s.add(i)
	return text
}

// function writes a function in FROM.
func (g *Generator) function(s *scope, lateral *scope) string {
	i := &item{alias: g.alias()}
	n, v, k := i.alias+"_n", i.alias+"_v", i.alias+"_k"
	list := "ARRAY['a', 'b', NULL]"
	object := `'{"k": 1, "l": "x"}'::jsonb`
	if lateral != nil && g.Below(2) == 0 {
		if refs := g.refs(lateral, Texts); len(refs) > 0 {
			list = pick(g.Choices, refs)
		}
	}
	var text string
	switch g.Below(6) {
	case 0:
		i.columns, i.key = []Column{{Name: n, Sort: Int}}, []string{n}
		text = fmt.Sprintf("generate_series(1, 3) AS %s (%s)", i.alias, n)
	case 1:
		i.columns = []Column{{Name: v, Sort: Text}}
		text = fmt.Sprintf("unnest(%s) AS %s (%s)", list, i.alias, v)
	case 2:
		i.columns, i.key = []Column{{Name: v, Sort: Text}, {Name: n, Sort: Int}}, []string{n}
		text = fmt.Sprintf("unnest(%s) WITH ORDINALITY AS %s (%s, %s)", list, i.alias, v, n)
	case 3:
		i.columns = []Column{{Name: k, Sort: Text}, {Name: v, Sort: Text}}
		text = fmt.Sprintf("jsonb_each_text(%s) AS %s (%s, %s)", object, i.alias, k, v)
	case 4:
		i.columns = []Column{{Name: n, Sort: Int}, {Name: v, Sort: Text}}
		text = fmt.Sprintf("ROWS FROM (generate_series(1, 2), unnest(%s)) AS %s (%s, %s)", list, i.alias, n, v)
	default:
		i.columns = []Column{{Name: n, Sort: Int}, {Name: v, Sort: Text}}
		text = fmt.Sprintf(`jsonb_to_recordset('[{"%[2]s": 1, "%[3]s": "x"}, {"%[2]s": 2}]') AS %[1]s (%[2]s int, %[3]s text)`, i.alias, n, v)
	}
	s.add(i)
	return text
}

// list writes VALUES in FROM.
func (g *Generator) list(s *scope) string {
	i := &item{alias: g.alias(), row: true}
	i.columns = []Column{{Name: i.alias + "_n", Sort: Int}, {Name: i.alias + "_v", Sort: Text}}
	i.key = []string{i.alias + "_n"}
	text := fmt.Sprintf("(VALUES (1, %s), (2, %s)) AS %s (%s, %s)", g.literal(Text), g.literal(Text), i.alias, i.columns[0].Name, i.columns[1].Name)
	s.add(i)
	return text
}
