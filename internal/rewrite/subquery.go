package rewrite

import (
	"strings"

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
