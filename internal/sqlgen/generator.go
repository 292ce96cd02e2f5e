package sqlgen

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// Statement is a text and what is known of it.
type Statement struct {
	SQL     string
	Values  []string // of its parameters, in text format
	Ordered bool     // the statement says the order of rows, but for equal ones
	Kind    string   // in a word or two, for counting
	Risky   bool     // it may fail for some rows, and the server may choose for which
	Plan    bool     // its rows tell how the server goes about it
	Copy    bool     // its rows are a COPY's

	// What is sent before and after. A statement that writes is rolled back.
	Before, After []string
}

// Generator writes one statement.
type Generator struct {
	*Choices
	schema     *Schema
	enums      []Sort
	aliases    int
	style      int    // how columns are spelled
	parameters bool   // constants may be parameters
	risky      bool   // expressions may fail
	enum       Sort   // that is being written
	window     string // that {w} stands for
	values     []string
}

// New returns a generator of one statement. Constants are parameters now and then if
// it may have them.
func New(schema *Schema, choices *Choices, parameters bool) *Generator {
	g := &Generator{Choices: choices, schema: schema, parameters: parameters}
	g.enums = slices.Sorted(maps.Keys(schema.Labels))
	return g
}

// Query writes a statement that reads.
func (g *Generator) Query() *Statement {
	g.style = g.Below(6)
	return g.finished(g.top())
}

// Statement writes any statement.
func (g *Generator) Statement() *Statement {
	g.style = g.Below(6)
	g.risky = g.oneIn(20)
	st := g.statement()
	st.Risky = g.risky
	return g.finished(st)
}

func (g *Generator) statement() *Statement {
	switch g.Below(24) {
	case 13, 14:
		return g.insert()
	case 15, 16:
		return g.update()
	case 17, 18:
		return g.remove()
	case 19:
		return g.merge()
	case 20:
		return g.copied()
	case 21:
		return g.named()
	case 22:
		return g.made()
	case 23:
		return g.explained()
	default:
		return g.top()
	}
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// finished numbers the parameters: some were written for what was left out.
func (g *Generator) finished(st *Statement) *Statement {
	numbers := map[string]int{}
	st.SQL = parameter.ReplaceAllStringFunc(st.SQL, func(old string) string {
		if numbers[old] == 0 {
			numbers[old] = len(numbers) + 1
			n, _ := strconv.Atoi(old[1:])
			st.Values = append(st.Values, g.values[n-1])
		}
		return fmt.Sprintf("$%d", numbers[old])
	})
	return st
}
