package sqlgen

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed grammar.txt
var grammarText string

// Grammar writes statements of every kind, whether they mean anything or not.
type Grammar struct {
	rules map[string]*part
	names map[string][]string
}

// part is a piece of a rule.
type part struct {
	kind   partKind
	text   string // of a word or name, or the rule that is meant
	parts  []*part
	used   []int // of a choice: how often each was taken
	height int   // rules that are at least passed before there are only words
}

type partKind int

const (
	word partKind = iota
	sequence
	choice
	optional
	repeated
	rule
	name
)

// Names are what @words of the grammar stand for. What is not given is made up.
type Names map[string][]string

// NewGrammar reads the grammar. Of the names given, some do not exist.
func NewGrammar(names Names) *Grammar {
	g := &Grammar{rules: map[string]*part{}, names: map[string][]string{}}
	for kind, list := range madeUp {
		g.names[kind] = slices.Concat(names[kind], names[kind], list)
	}
	text := regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(grammarText, "")
	text = regexp.MustCompile(`\n[ \t]+`).ReplaceAllString(text, " ")
	bodies := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if left, right, found := strings.Cut(line, " ="); found {
			bodies[left] = right
			g.rules[left] = &part{kind: choice}
		}
	}
	for left, body := range bodies {
		r := &reader{words: strings.Fields(body), rules: g.rules}
		*g.rules[left] = *r.choice()
		if len(r.words) > 0 {
			panic(fmt.Sprintf("rule %s: %q is left over", left, r.words))
		}
	}
	g.measure()
	return g
}

// reader reads the right side of a rule.
type reader struct {
	words []string
	rules map[string]*part
}

func (r *reader) choice() *part {
	c := &part{kind: choice, parts: []*part{r.sequence()}}
	for len(r.words) > 0 && r.words[0] == "|" {
		r.words = r.words[1:]
		c.parts = append(c.parts, r.sequence())
	}
	c.used = make([]int, len(c.parts))
	return c
}

var closing = map[string]partKind{"]": optional, "}": sequence, "]...": repeated, "}...": repeated}

func (r *reader) sequence() *part {
	s := &part{kind: sequence}
	for len(r.words) > 0 && r.words[0] != "|" {
		if _, ends := closing[r.words[0]]; ends {
			break
		}
		next := r.words[0]
		r.words = r.words[1:]
		if next == "[" || next == "{" {
			inside := &part{parts: []*part{r.choice()}}
			inside.kind = closing[r.words[0]]
			r.words = r.words[1:]
			s.parts = append(s.parts, inside)
			continue
		}
		s.parts = append(s.parts, r.word(next))
	}
	return s
}

var madeUpName = regexp.MustCompile(`@[a-z_]+|[^@]+|@`)

func (r *reader) word(text string) *part {
	if text == "'['" || text == "']'" {
		return &part{kind: word, text: text[1:2]}
	}
	if strings.HasSuffix(text, "...") {
		return &part{kind: repeated, parts: []*part{r.word(strings.TrimSuffix(text, "..."))}}
	}
	if _, known := r.rules[text]; known {
		return &part{kind: rule, text: text}
	}
	s := &part{kind: sequence, text: "tight"}
	for _, piece := range madeUpName.FindAllString(text, -1) {
		p := &part{kind: word, text: piece}
		if len(piece) > 1 && piece[0] == '@' {
			p.kind, p.text = name, piece[1:]
			if _, known := madeUp[p.text]; !known {
				panic("no names for " + piece)
			}
		}
		s.parts = append(s.parts, p)
	}
	return s
}

const endless = 1000

// measure finds out how deep each part must go.
func (g *Grammar) measure() {
	for _, r := range g.rules {
		r.each(func(p *part) {
			if p.kind == rule || p.kind == choice {
				p.height = endless
			}
		})
	}
	for changed := true; changed; {
		changed = false
		for _, r := range g.rules {
			old := r.height
			g.remeasure(r)
			changed = changed || r.height != old
		}
	}
}

func (p *part) each(visit func(*part)) {
	visit(p)
	for _, inside := range p.parts {
		inside.each(visit)
	}
}

func (g *Grammar) remeasure(p *part) {
	for _, inside := range p.parts {
		g.remeasure(inside)
	}
	switch p.kind {
	case rule:
		p.height = min(g.rules[p.text].height+1, endless)
	case choice:
		p.height = slices.MinFunc(p.parts, func(a, b *part) int { return a.height - b.height }).height
	case word, name, optional: // of what may be left out nothing must follow
	default:
		p.height = 0
		for _, inside := range p.parts {
			p.height = max(p.height, inside.height)
		}
	}
}

const grammarDepth = 9

// Statement writes one.
func (g *Grammar) Statement(c *Choices) string {
	var b strings.Builder
	g.write(&b, c, g.rules["statement"], grammarDepth)
	return strings.TrimSpace(b.String())
}

// write writes a part. Where nothing deep may follow, it takes the shortest way.
func (g *Grammar) write(b *strings.Builder, c *Choices, p *part, depth int) {
	switch p.kind {
	case word:
		b.WriteString(p.text)
	case name:
		b.WriteString(pick(c, g.names[p.text]))
	case rule:
		g.write(b, c, g.rules[p.text], depth-1)
	case choice:
		g.write(b, c, p.chosen(c, depth), depth)
	case optional:
		if depth > p.parts[0].height && c.Below(2) == 1 {
			g.write(b, c, p.parts[0], depth)
		}
	case repeated:
		g.write(b, c, p.parts[0], depth)
		for depth > p.parts[0].height+2 && c.Below(3) == 2 {
			b.WriteString(", ")
			g.write(b, c, p.parts[0], depth-1)
		}
	default:
		for _, inside := range p.parts {
			if p.text != "tight" {
				b.WriteByte(' ')
			}
			g.write(b, c, inside, depth)
		}
	}
}

// chosen is an alternative that is not too deep, and half the time the one that was
// taken least until now.
func (p *part) chosen(c *Choices, depth int) *part {
	var fit []int
	for i, one := range p.parts {
		if one.height < depth {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		for i, one := range p.parts {
			if one.height == p.height {
				fit = append(fit, i)
			}
		}
	}
	best := pick(c, fit)
	if c.random != nil && c.Below(2) == 1 { // given choices mean the same whatever was written before
		for _, i := range fit {
			if p.used[i] < p.used[best] {
				best = i
			}
		}
	}
	p.used[best]++
	return p.parts[best]
}

// madeUp are names that mean nothing, and what is not looked up.
var madeUp = map[string][]string{
	"table":         {"nothing", "app.nothing", "nowhere.customers", `"Nothing"`, "pg_catalog.pg_class", "information_schema.tables"},
	"column":        {"id", "nothing", "t.id", "c.email", "customers.email", "c.nothing", `"Weird Name"`, `U&"\0065mail"`, "ctid", "excluded.id", "NEW.id"},
	"alias":         {"t", "c", "o", "excluded", `"A"`},
	"cte":           {"w", "x", "customers"},
	"new":           {"brand_new", "app.brand_new", "nowhere.brand_new", "customers"},
	"newschema":     {"brand_new_schema", "app"},
	"name":          {"id", "email", "name", "n", "nothing", `"N"`, "total", "x"},
	"function":      {"nothing_at_all", "lower", "count", "now", "coalesce_not", "generate_series", "pg_catalog.upper", "nowhere.f", "unnest", "jsonb_each", "set_config"},
	"aggregate":     {"count", "max", "nothing_sum", "string_agg", "pg_catalog.sum"},
	"schema":        {"app", "public", "nowhere", "pg_catalog"},
	"type":          {"int", "text", "varchar(10)", "numeric(10,2)", "nothing_type", "timestamp with time zone", "bit varying(3)", "text[]", "int ARRAY[3]", "interval day to second", "SETOF int", "double precision", "char(3)", "national character varying(4)", "app.nothing", "json", "xml", "time(2)", "pg_catalog.int4", "decimal(3)", "float(10)"},
	"typename":      {"int4", "nothing_type", "app.nothing", "text"},
	"type_function": {"point", "money", "nothing_type"},
	"collation":     {`"C"`, `"nothing"`, `pg_catalog."default"`},
	"opclass":       {"text_ops", "int4_ops", "nothing_ops"},
	"operator":      {"+", "-", "=", "<", "||", "->", "~~", "@>", "%", "<>", ">=", "^", "/", "*", "###", "!~*", "?", "&&", "<->"},
	"role":          {"postgres", "agent", "nobody"},
	"setting":       {"work_mem", "search_path", "role", "nothing.at_all", "statement_timeout", "standard_conforming_strings"},
	"param":         {"$1", "$2"},
	"int":           {"0", "1", "7", "42", "-1"},
	"float":         {"1.5", "1e3", ".5", "99999999999999999999"},
	"string":        {"'x'", "''", "'it''s'", "'{}'", "'app, public'", "'SELECT 1'", "'<a/>'", "'2020-01-01'"},
}
