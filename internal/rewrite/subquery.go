package rewrite

import (
	"strings"
	"sync"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// inner is the alias of the relation inside the subquery that masks it: columns
// referred to by it can be no other's.
const inner = "t"

// subquery writes the SELECT that takes the relation's place, without TABLESAMPLE.
func subquery(scan *maskedScan, s *catalog.Snapshot, only bool) (string, error) {
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
	if only {
		b.WriteString("ONLY ")
	}
	b.WriteString(quote(scan.Relation.Schema) + "." + quote(scan.Relation.Name) + " AS " + inner)
	return b.String(), nil
}

// parsed holds the trees of subqueries, which are the same from statement to
// statement. Nobody changes them.
var parsed = struct {
	sync.Mutex
	trees map[string]*pg_query.Node
}{trees: map[string]*pg_query.Node{}}

const maxParsed = 2048

// parseSubquery parses what subquery has written; own says that the caller changes
// the tree.
func parseSubquery(body string, own bool) (*pg_query.Node, error) {
	if own {
		return parseOne(body)
	}
	parsed.Lock()
	defer parsed.Unlock()
	if known := parsed.trees[body]; known != nil {
		return known, nil
	}
	n, err := parseOne(body)
	if err != nil {
		return nil, err
	}
	if len(parsed.trees) >= maxParsed {
		clear(parsed.trees)
	}
	parsed.trees[body] = n
	return n, nil
}
