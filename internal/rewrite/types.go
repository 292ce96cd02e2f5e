package rewrite

import (
	"sync"

	"github.com/sallyport/sallyport/internal/catalog"
)

// family is a group of types that the masks treat alike. The zero value is one that
// no mask but null is defined for.
type family int

const (
	opaque family = iota
	textual
	integer
	decimal
	float
	boolean
	uuid
	date
	timestamp
	timestamptz
)

// families are those of PostgreSQL's own types, by their fixed OIDs.
var families = map[catalog.OID]family{
	25: textual, 1043: textual, 1042: textual, 19: textual,
	21: integer, 23: integer, 20: integer,
	1700: decimal,
	700:  float, 701: float,
	16:   boolean,
	2950: uuid,
	1082: date, 1114: timestamp, 1184: timestamptz,
}

func familyOf(t *catalog.Type) family {
	if f, ok := families[t.OID]; ok {
		return f
	}
	// citext is text that compares otherwise; every cast between them is a relabelling.
	if t.Kind == 'b' && t.Category == 'S' && t.Name == "citext" {
		return textual
	}
	return opaque
}

// typeText writes the type of a column, with its modifier, for a cast: names are
// qualified, so that no type of the search path takes their place.
func typeText(c *catalog.Column, t *catalog.Type, s *catalog.Snapshot) string {
	if t.Kind == 'd' {
		return domainText(t, s)
	}
	names := typeNames(c.TypeName)
	switch len(names) {
	case 1: // a name like any other, which must be found in pg_catalog
		if known := s.Type("pg_catalog", names[0]); known == nil || !sameType(known, t) {
			return qualifiedType(t)
		}
		return "pg_catalog." + c.TypeName
	case 2: // a key word, or qualified already
		known := s.Type(names[0], names[1])
		if known == nil || !sameType(known, t) {
			return qualifiedType(t)
		}
		return c.TypeName
	default:
		return qualifiedType(t)
	}
}

// namesOfTypes remembers what typeNames has parsed; there are only so many types.
var namesOfTypes sync.Map // string to []string

// typeNames returns the parts of the name in a type as format_type writes it, nil
// when it does not parse.
func typeNames(text string) []string {
	if known, ok := namesOfTypes.Load(text); ok {
		if names, ok := known.([]string); ok {
			return names
		}
	}
	var names []string
	n, err := parseOne("SELECT NULL::" + text)
	if targets := n.GetSelectStmt().GetTargetList(); err == nil && len(targets) == 1 {
		for _, name := range targets[0].GetResTarget().GetVal().GetTypeCast().GetTypeName().GetNames() {
			names = append(names, name.GetString_().GetSval())
		}
	}
	namesOfTypes.Store(text, names)
	return names
}

// sameType reports whether the named type is the column's, or its element's.
func sameType(named, t *catalog.Type) bool {
	return named.OID == t.OID || named.OID == t.Elem && t.Elem != 0
}

func qualifiedType(t *catalog.Type) string { return quote(t.Schema) + "." + quote(t.Name) }

// domainText writes a domain, or what is below it if it has constraints: NULL may
// not satisfy them. A client is told of the type below in either case.
func domainText(t *catalog.Type, s *catalog.Snapshot) string {
	checked := false
	for base := t; base != nil; base = s.TypeByOID(base.Base) {
		checked = checked || base.Checked
		if base.Kind != 'd' {
			if checked {
				return qualifiedType(base)
			}
			break
		}
	}
	return qualifiedType(t)
}

// collation names the collation a column's values are compared by, "" when its type
// has none.
func collation(c *catalog.Column, s *catalog.Snapshot) string {
	if c.Collation == 0 {
		return ""
	}
	if c.Collation == defaultCollation {
		return `pg_catalog."default"`
	}
	return s.Collation(c.Collation)
}

const defaultCollation = 100
