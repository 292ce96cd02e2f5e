package rewrite

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// Mask is what is done to the values of a column. NULL stays NULL. On types that a
// function is not defined for, all become NULL.
//
//	null      any type: NULL
//	redact    text: [redacted], cut to the column's length; tells only that there is a value
//	replace   {value}: text, numbers, booleans, UUIDs, dates and times; tells as much
//	hash      {length: 64, salt: ""}: text; tells which are equal, and without a secret
//	          salt whatever can be guessed
//	email     text: the first letter and the domain, a***@example.com; *** for what is no address
//	partial   {keep_first: 0, keep_last: 0, char: "*"}: text; tells these and the length
//	truncate  numbers to {digits: 0}, dates and times to {unit: year}, in UTC
//	round     numbers to {digits: 0}; dates and times as truncate does
//
// Text is text, varchar, char, name and citext; domains, enums, arrays and JSON are
// none.
type Mask struct {
	Function string
	Args     map[string]any // as they come out of JSON
	// Written: writes may tell of the values, by what constraints say. The policy
	// takes the risk.
	Written bool
}

// strictness orders masks by how much they hide: where several apply, the first wins.
var strictness = []string{"null", "redact", "replace", "hash", "email", "partial", "truncate", "round"}

// stricter returns the one that hides more. A function nobody knows wins, so that it
// is refused.
func stricter(a, b Mask) Mask {
	written := a.Written && b.Written
	if slices.Index(strictness, b.Function) < slices.Index(strictness, a.Function) {
		a = b
	}
	a.Written = written
	return a
}

// maskSet holds the mask of each column by its id.
type maskSet map[string]Mask

// spread gives the masks of a column to the same column of the relation's partitions
// and children, of what it is a partition or child of, and of what else these are:
// they show the same rows.
func spread(masks map[string]Mask, s *catalog.Snapshot) maskSet {
	set := make(maskSet, len(masks))
	for id, mask := range masks {
		set.add(id, mask)
		relation, column := find(s, id)
		if column == nil {
			continue
		}
		for _, kin := range s.Kin(relation) {
			if c := kin.Column(column.Name); c != nil {
				set.add(columnID(kin, c), mask)
			}
		}
	}
	return set
}

func (m maskSet) add(id string, mask Mask) {
	if other, ok := m[id]; ok {
		mask = stricter(mask, other)
	}
	m[id] = mask
}

// of returns the mask of a column as the scan reads it. A view's column has the masks
// of the column that it is, and is hidden when it is made of a masked one.
func (m maskSet) of(scan *query.Scan, c *catalog.Column) (Mask, bool) {
	mask, masked := m[columnID(scan.Relation, c)]
	lineage := scan.Lineage[c.Name]
	for _, base := range lineage.Bases {
		inherited, ok := m[base]
		if !ok {
			continue
		}
		if !lineage.Plain {
			inherited = Mask{Function: "null"}
		}
		if masked {
			inherited = stricter(inherited, mask)
		}
		mask, masked = inherited, true
	}
	return mask, masked
}

// fence lists the masked columns the wire can be asked about.
func fence(r Request, masks maskSet) []FenceColumn {
	var columns []FenceColumn
	for id := range masks {
		if relation, column := find(r.Snapshot, id); column != nil {
			columns = append(columns, FenceColumn{Relation: relation.OID, Number: column.Number, ID: id})
		}
	}
	for _, scan := range r.Analysis.Scans {
		for _, c := range exposed(scan) {
			if _, ok := masks.of(scan, c); ok {
				columns = append(columns, FenceColumn{Relation: scan.Relation.OID, Number: c.Number, ID: columnID(scan.Relation, c)})
			}
		}
	}
	slices.SortFunc(columns, func(a, b FenceColumn) int {
		if a.Relation != b.Relation {
			return int(int64(a.Relation) - int64(b.Relation))
		}
		return int(a.Number) - int(b.Number)
	})
	return slices.Compact(columns)
}

// exposed lists the columns of a scan that the statement can see.
func exposed(scan *query.Scan) []*catalog.Column {
	if scan.All || scan.WholeRow {
		return scan.Relation.Columns
	}
	return scan.Columns
}

func columnID(r *catalog.Relation, c *catalog.Column) string {
	return r.ColumnID(c)
}

// find returns the column of an id, or nil.
func find(s *catalog.Snapshot, id string) (*catalog.Relation, *catalog.Column) {
	parts := splitID(id)
	if len(parts) != 3 {
		return nil, nil
	}
	relation := s.Relation(parts[0], parts[1])
	if relation == nil {
		return nil, nil
	}
	return relation, relation.Column(parts[2])
}

// splitID takes an id apart at its dots, quotes removed; nil when it is none.
func splitID(id string) []string {
	var parts []string
	for {
		var part string
		if strings.HasPrefix(id, `"`) {
			end := closingQuote(id)
			if end < 0 {
				return nil
			}
			part, id = strings.ReplaceAll(id[1:end], `""`, `"`), id[end+1:]
		} else if dot := strings.IndexByte(id, '.'); dot >= 0 {
			part, id = id[:dot], id[dot:]
		} else {
			part, id = id, ""
		}
		parts = append(parts, part)
		if id == "" {
			return parts
		}
		if id[0] != '.' {
			return nil
		}
		id = id[1:]
	}
}

// closingQuote finds the end of a quoted name that begins the text, or -1.
func closingQuote(text string) int {
	for i := 1; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		if i+1 < len(text) && text[i+1] == '"' {
			i++
			continue
		}
		return i
	}
	return -1
}
