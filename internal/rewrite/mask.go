package rewrite

import (
	"fmt"

	"github.com/sallyport/sallyport/internal/catalog"
)

// masking is one mask for one column. Its methods write expressions over the
// column that obey three rules: every name is qualified with pg_catalog, every function
// is immutable, and no value of the column makes them fail, since a failure would
// tell of the value. A cast to varchar(n) or char(n) cuts off and does not fail.
type masking struct {
	mask Mask
	args *args
	id   string
	ref  string // the column
	col  *catalog.Column
	typ  *catalog.Type

	server int // its version, as server_version_num
}

// masked writes what takes the place of a column: of its type and collation, NULL
// where the column is NULL.
func masked(r *catalog.Relation, c *catalog.Column, m Mask, s *catalog.Snapshot) (string, error) {
	return maskedAs(inner+"."+quote(c.Name), r, c, m, s)
}

// maskedAs is masked of a column that is referred to as written.
func maskedAs(written string, r *catalog.Relation, c *catalog.Column, m Mask, s *catalog.Snapshot) (string, error) {
	k := &masking{mask: m, args: newArgs(m.Args), id: columnID(r, c), ref: written, col: c, typ: s.TypeByOID(c.Type), server: s.ServerVersion}
	if k.typ == nil {
		return "", internal(fmt.Sprintf("the type of column %s is not known", k.id))
	}
	value, why := k.value()
	if why == "" {
		why = k.args.complaint()
	}
	if why != "" {
		return "", badMask(k.id, m, why)
	}
	switch {
	case value == "":
		value = "NULL"
	case !keepsNull[m.Function]:
		value = "CASE WHEN " + k.ref + " IS NOT NULL THEN " + value + " END"
	}
	expression := "CAST(" + value + " AS " + typeText(c, k.typ, s) + ")"
	if coll := collation(c, s); coll != "" {
		expression += " COLLATE " + coll
	} else if c.Collation != 0 {
		return "", internal(fmt.Sprintf("the collation of column %s is not known", k.id))
	}
	return expression, nil
}

// keepsNull are the masks whose expressions are NULL by themselves where the column is.
var keepsNull = map[string]bool{"hash": true, "email": true, "partial": true, "round": true, "truncate": true}

// value writes the masked value of a column that is not NULL; "" stands for NULL,
// and is what a mask falls back to on types it is not defined for.
func (k *masking) value() (expression, why string) {
	switch k.mask.Function {
	case "null":
		return "", ""
	case "redact":
		return k.redact(), ""
	case "replace":
		return k.replace()
	case "hash":
		return k.hash(), ""
	case "email":
		return k.email(), ""
	case "partial":
		return k.partial(), ""
	case "round":
		return k.coarse("round"), ""
	case "truncate":
		return k.coarse("trunc"), ""
	default:
		return "", "is not known"
	}
}
