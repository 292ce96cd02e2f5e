package rewrite

import (
	"strings"
	"sync"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// inner is the alias of the relation inside the subquery that masks it: columns
// referred to by it can be no other's.
const inner = "t"

// subquery writes the SELECT that takes the relation's place; sample is TABLESAMPLE.
func subquery(scan *maskedScan, s *catalog.Snapshot, only bool, sample string) (string, error) {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, c := range scan.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		ref := inner + "." + quote(c.Name)
		if scan.masks[i] == nil {
			b.WriteString(ref)
			continue
		}
		expression, err := masked(scan.Relation, c, *scan.masks[i], s)
		if err != nil {
			return "", err
		}
		b.WriteString(expression + " AS " + quote(c.Name))
	}
	b.WriteString(" FROM ")
	if scan.view != "" {
		writeView(&b, scan)
		return b.String() + scan.tail(), nil
	}
	if only {
		b.WriteString("ONLY ")
	}
	b.WriteString(quote(scan.Relation.Schema) + "." + quote(scan.Relation.Name) + " AS " + inner)
	if sample != "" {
		b.WriteString(" " + sample)
	}
	return b.String() + scan.tail(), nil
}

// writeView writes the definition of a view in the place of the view, its columns by
// the view's names.
func writeView(b *strings.Builder, scan *maskedScan) {
	b.WriteString("(" + scan.view + ") AS " + inner + " (")
	for i, c := range scan.Relation.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(c.Name))
	}
	b.WriteString(")")
}

// tail is what the subquery ends with. No predicate gets below a security barrier.
func (scan *maskedScan) tail() string {
	tail := ""
	if scan.where != "" {
		tail = " WHERE " + scan.where
	}
	if scan.fenced || scan.view != "" && scan.Relation.Access.Barrier {
		tail += " OFFSET 0"
	}
	return tail
}

// parsed holds the trees of subqueries, which are the same from statement to
// statement. Nobody changes them.
var parsed = struct {
	sync.Mutex
	parts map[string]*query.Part
}{parts: map[string]*query.Part{}}

const maxParsed = 2048

// part parses what subquery has written.
func part(body string) (*query.Part, error) {
	parsed.Lock()
	defer parsed.Unlock()
	if known := parsed.parts[body]; known != nil {
		return known, nil
	}
	p, err := query.ParsePart(body)
	if err != nil {
		return nil, internal("it would not parse: " + err.Error())
	}
	if len(parsed.parts) >= maxParsed {
		clear(parsed.parts)
	}
	parsed.parts[body] = p
	return p, nil
}

// parseSubquery parses what subquery has written; own says that the caller changes
// the tree.
func (w *writer) parseSubquery(body string, own bool) (*pg_query.Node, error) {
	if own {
		return parseOne(body)
	}
	p, err := part(body)
	if err != nil {
		return nil, err
	}
	if w.parts == nil {
		w.parts = map[*pg_query.Node]*query.Part{}
	}
	w.parts[p.Node] = p
	return p.Node, nil
}
