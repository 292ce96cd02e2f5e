package sqlgen

import (
	"fmt"
	"strings"
)

// expr writes an expression of a sort.
func (g *Generator) expr(s *scope, sort Sort, depth int) string {
	if depth <= 0 || g.Below(2) == 0 {
		return g.leaf(s, sort)
	}
	if s.grouped && g.Below(3) > 0 {
		if text := g.aggregate(s, sort, depth-1); text != "" {
			return text
		}
	}
	if rows := s.rows(); len(rows) > 0 && len(rowForms[sort]) > 0 && g.oneIn(12) {
		return g.fill(pick(g.Choices, rowForms[sort]), s, depth-1)
	}
	if !s.bare && g.oneIn(5) {
		return g.subquery(s, sort, depth-1)
	}
	forms := forms[sort]
	if len(forms) == 0 {
		forms = enumForms
	}
	if risky := riskyForms[sort]; g.risky && len(risky) > 0 && g.Below(2) == 1 {
		forms = risky
	}
	g.enum = sort
	return g.fill(pick(g.Choices, forms), s, depth-1)
}

// leaf writes a column or a constant.
func (g *Generator) leaf(s *scope, sort Sort) string {
	refs := g.refs(s, sort)
	if len(refs) > 0 && !g.oneIn(6) {
		return pick(g.Choices, refs)
	}
	return g.literal(sort)
}

func (g *Generator) literal(sort Sort) string {
	values, typ := literals[sort], typeNames[sort]
	if labels, ok := g.schema.Labels[sort]; ok {
		values, typ = labels, string(sort)
	}
	value := pick(g.Choices, values)
	if g.parameters && g.oneIn(4) {
		g.values = append(g.values, value)
		return fmt.Sprintf("$%d::%s", len(g.values), typ)
	}
	switch {
	case sort == Int || sort == Num || sort == Bool:
		return value
	case sort == Text && g.Below(2) == 0: // of unknown type, which the server makes text
		return "'" + value + "'::text"
	default:
		return "'" + value + "'::" + typ
	}
}

// condition writes a boolean expression that rows are chosen by.
func (g *Generator) condition(s *scope, depth int) string {
	if depth > 0 && g.oneIn(4) {
		return g.expr(s, Bool, depth)
	}
	return g.comparison(s, depth-1)
}

var comparable = []Sort{Int, Text, Num, Date, Time, UUID, Bool, Texts, JSON}

func (g *Generator) comparison(s *scope, depth int) string {
	sorts := s.sorts()
	if len(sorts) == 0 {
		sorts = comparable
	}
	sort := pick(g.Choices, sorts)
	left, right := g.expr(s, sort, depth), ""
	if g.Below(3) == 0 {
		right = g.leaf(s, sort)
	} else {
		right = g.literal(sort)
	}
	switch op := g.Below(14); op {
	case 8:
		return left + " IS DISTINCT FROM " + right
	case 9:
		return left + g.word(" IS NULL", " IS NOT NULL", " NOTNULL")
	case 10:
		return left + g.word(" IN (", " NOT IN (") + right + ", " + g.literal(sort) + ")"
	case 11:
		return left + g.word(" BETWEEN ", " NOT BETWEEN ", " BETWEEN SYMMETRIC ") + right + " AND " + g.literal(sort)
	case 12:
		return left + g.word(" = ANY (ARRAY[", " <> ALL (ARRAY[") + right + ", " + g.literal(sort) + "])"
	case 13:
		return g.rowComparison(s, left, sort, right, depth)
	default:
		return left + g.word(" = ", " < ", " >= ", " <> ") + right
	}
}

func (g *Generator) rowComparison(s *scope, left string, sort Sort, right string, depth int) string {
	a, b := g.leaf(s, Int), g.literal(Int)
	if s.bare || depth < 0 || g.Below(3) == 0 {
		return fmt.Sprintf("%s(%s, %s) %s (%s, %s)", g.word("", "ROW"), left, a, g.word("=", "<", "<>"), right, b)
	}
	query, _ := g.query(s, []Sort{sort, Int}, depth-1)
	return fmt.Sprintf("(%s, %s) %s (%s)", left, a, g.word("IN", "NOT IN", "= ANY"), query)
}

// subquery writes an expression with a query in it.
func (g *Generator) subquery(s *scope, sort Sort, depth int) string {
	if sort == Bool {
		other := pick(g.Choices, s.sortsOr(Int))
		switch g.Below(4) {
		case 0:
			query, _ := g.query(s, []Sort{Int}, depth)
			return g.word("", "NOT ") + "EXISTS (" + query + ")"
		case 1:
			query, _ := g.query(s, []Sort{other}, depth)
			return g.expr(s, other, depth-1) + g.word(" IN (", " NOT IN (") + query + ")"
		default:
			query, _ := g.query(s, []Sort{other}, depth)
			return g.expr(s, other, depth-1) + g.word(" = ANY (", " <= ALL (", " <> SOME (") + query + ")"
		}
	}
	if sort == Texts && g.Below(2) == 0 {
		query, _ := g.query(s, []Sort{Text}, depth)
		return "ARRAY(" + query + " ORDER BY 1)"
	}
	return g.scalar(s, sort, depth)
}

func (s *scope) sortsOr(sort Sort) []Sort {
	if sorts := s.sorts(); len(sorts) > 0 {
		return sorts
	}
	return []Sort{sort}
}

// scalar writes a subquery of one row.
func (g *Generator) scalar(s *scope, sort Sort, depth int) string {
	query, columns := g.query(s, []Sort{sort}, depth)
	if g.Below(2) == 0 {
		if form := largest[sort]; form != "" {
			return fmt.Sprintf("(SELECT %s FROM (%s) q)", strings.ReplaceAll(form, "{}", "q."+columns[0].Name), query)
		}
	}
	return "(SELECT * FROM (" + query + ") q ORDER BY 1 LIMIT 1)"
}

// largest are aggregates that give one value of the sort back.
var largest = map[Sort]string{
	Text: "max({})", Int: "min({})", Num: "max({})", Date: "min({})", Time: "max({})", Bool: "bool_or({})",
}

// fill writes a form: {text} and its like are expressions of the sort's name, {=} the
// expression before once more. What is no name stays as it is.
func (g *Generator) fill(form string, s *scope, depth int) string {
	enum := g.enumSort()
	last := ""
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(form, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		if text, known := g.slot(name, last, enum, s, depth); known {
			b.WriteString(text)
			last = text
		} else {
			b.WriteString("{" + name + "}")
		}
		form = after
	}
}

func (g *Generator) slot(name, last string, enum Sort, s *scope, depth int) (text string, known bool) {
	switch name {
	case "=":
		return last, true
	case "row":
		return pick(g.Choices, s.rows()), true
	case "any":
		return g.expr(s, pick(g.Choices, s.sortsOr(Text)), depth), true
	case "cond":
		return g.condition(s, depth), true
	case "w":
		return g.window, true
	case "enum":
		return g.expr(s, enum, depth), true
	}
	if _, sort := literals[Sort(name)]; !sort {
		return "", false
	}
	return g.expr(s, Sort(name), depth), true
}

// enumSort is the enum that is being written, or any.
func (g *Generator) enumSort() Sort {
	enum := g.enum
	g.enum = ""
	if _, ok := g.schema.Labels[enum]; ok {
		return enum
	}
	if len(g.enums) > 0 {
		return pick(g.Choices, g.enums)
	}
	return Text
}

// aggregate writes one that gives the sort, "" when there is none.
func (g *Generator) aggregate(s *scope, sort Sort, depth int) string {
	if len(aggregateForms[sort]) == 0 {
		return ""
	}
	return g.fill(pick(g.Choices, aggregateForms[sort]), s.arguments(), min(depth, 1))
}

// windowed writes a window function that gives the sort, "" when there is none.
func (g *Generator) windowed(s *scope, sort Sort) string {
	forms, order := windowForms[sort], g.leaf(s, pick(g.Choices, s.sortsOr(Int)))
	frame := ""
	if keys := s.keys(); keys != nil && g.Below(2) == 0 && len(rankedForms[sort]) > 0 {
		forms = rankedForms[sort]
		order += g.word("", " DESC", " NULLS FIRST", " DESC NULLS LAST") + ", " + strings.Join(keys, ", ")
		frame = g.word("", "", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", " GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW", " ROWS UNBOUNDED PRECEDING")
	}
	if len(forms) == 0 {
		return ""
	}
	partition := ""
	if g.Below(2) == 0 {
		partition = "PARTITION BY " + g.leaf(s, pick(g.Choices, s.sortsOr(Int))) + " "
	}
	saved := g.window
	g.window = "(" + partition + "ORDER BY " + order + frame + ")"
	text := g.fill(pick(g.Choices, forms), s.arguments(), 1)
	g.window = saved
	return text
}
