package sqlgen

import (
	"fmt"
	"slices"
	"strings"
)

// item is something in FROM.
type item struct {
	alias   string // what qualifies its columns
	columns []Column
	key     []string // columns that no two of its rows share; nil when there may be none
	row     bool     // its alias alone means the whole row
	table   *Table   // nil for what is no table
}

// term is an expression that was written already.
type term struct {
	sql  string
	sort Sort
}

// scope is what a query's expressions may refer to.
type scope struct {
	items   []*item
	names   map[string]int // how many visible columns go by a bare name
	outer   *scope
	common  []*item // queries of WITH, by their aliases
	grouped bool    // only terms may be referred to outside of aggregates
	terms   []term
	bare    bool // inside an aggregate or the like: no subqueries, no outer columns
}

func (s *scope) add(i *item) {
	s.items = append(s.items, i)
	if s.names == nil {
		s.names = map[string]int{}
	}
	for _, c := range i.columns {
		s.names[c.Name]++
	}
}

// inner is the scope of a query inside of this one's.
func (s *scope) inner() *scope {
	if s == nil {
		return &scope{}
	}
	return &scope{outer: s, common: s.common}
}

// arguments is the scope of an aggregate's arguments.
func (s *scope) arguments() *scope {
	return &scope{items: s.items, names: s.names, bare: true}
}

// used reports whether an alias means something here or outside.
func (s *scope) used(alias string) bool {
	for ; s != nil; s = s.outer {
		if slices.ContainsFunc(s.items, func(i *item) bool { return i.alias == alias }) {
			return true
		}
	}
	return false
}

// refs are references to columns of a sort. Those of outer queries are qualified,
// since an inner column may have the name.
func (g *Generator) refs(s *scope, sort Sort) []string {
	var refs []string
	if s.grouped {
		for _, t := range s.terms {
			if t.sort == sort {
				refs = append(refs, t.sql)
			}
		}
	} else {
		for _, i := range s.items {
			for _, c := range i.columns {
				if c.Sort == sort {
					refs = append(refs, g.spelled(s, i, c.Name))
				}
			}
		}
	}
	if s.bare {
		return refs
	}
	for o := s.outer; o != nil; o = o.outer {
		if o.grouped {
			break
		}
		for _, i := range o.items {
			for _, c := range i.columns {
				if c.Sort == sort {
					refs = append(refs, quote(i.alias)+"."+quote(c.Name))
				}
			}
		}
	}
	return refs
}

// spelled writes a column's name in one of the ways there are.
func (g *Generator) spelled(s *scope, i *item, name string) string {
	style := g.style // decided once a statement, so that texts compare equal where they must
	plain := quote(name)
	switch {
	case style == 1 && s.names[name] == 1:
		return plain
	case style == 2:
		return `"` + strings.ReplaceAll(i.alias, `"`, `""`) + `"."` + strings.ReplaceAll(name, `"`, `""`) + `"`
	case style == 3 && plain == name && quote(i.alias) == i.alias:
		return strings.ToUpper(i.alias + "." + name)
	case style == 4:
		return quote(i.alias) + "." + escaped(name)
	case style == 5 && i.table != nil && i.alias == i.table.Name:
		return quote(i.table.Schema) + "." + quote(i.alias) + "." + plain
	default:
		return quote(i.alias) + "." + plain
	}
}

// escaped writes a name with Unicode escapes.
func escaped(name string) string {
	var b strings.Builder
	b.WriteString(`U&"`)
	for _, r := range name {
		switch {
		case r == '"':
			b.WriteString(`""`)
		case r == '\\':
			b.WriteString(`\\`)
		case r == 'a' || r == 'e' || r > 126:
			fmt.Fprintf(&b, `\%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quote writes a name so that it is read as it is.
func quote(name string) string {
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	}
	if slices.Contains(reserved, name) {
		return `"` + name + `"`
	}
	return name
}

var reserved = []string{"select", "from", "order", "user", "table", "group", "end", "case"}

// keys are columns that tell every row of FROM from the others; nil when none do.
func (s *scope) keys() []string {
	var keys []string
	for _, i := range s.items {
		if i.key == nil {
			return nil
		}
		for _, k := range i.key {
			keys = append(keys, quote(i.alias)+"."+quote(k))
		}
	}
	return keys
}

// rows are the aliases that mean whole rows.
func (s *scope) rows() []string {
	if s.grouped {
		return nil
	}
	var rows []string
	for _, i := range s.items {
		if i.row {
			rows = append(rows, quote(i.alias))
		}
	}
	return rows
}

// sorts are those of the visible columns, each once and in order.
func (s *scope) sorts() []Sort {
	var sorts []Sort
	add := func(sort Sort) {
		if !slices.Contains(sorts, sort) {
			sorts = append(sorts, sort)
		}
	}
	for _, t := range s.terms {
		add(t.sort)
	}
	if !s.grouped {
		for _, i := range s.items {
			for _, c := range i.columns {
				add(c.Sort)
			}
		}
	}
	return sorts
}
