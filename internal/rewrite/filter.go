package rewrite

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/catalog"
)

// Filter says which rows of a relation are shown. A comparison with NULL is not true,
// and neither is its opposite; rows of which a filter is not true are not shown.
//
//	every none                         row
//	all any not                        of Of
//	eq ne lt lte gt gte                Column with the one value, or with the column Other
//	in                                 Column with any of Values
//	startswith endswith contains       of text
//	is_null                            Column
//
// Values are strings, booleans and json.Number, and have to be of the column's type:
// text, numbers, booleans, UUIDs, enums, dates and times.
type Filter struct {
	Op            string
	Column, Other string
	Values        []any
	Of            []Filter
}

// filtering writes a filter as an expression over a relation's columns. It obeys the
// rules of masks: names are qualified, and nothing in a row makes it fail.
type filtering struct {
	relation *catalog.Relation
	snapshot *catalog.Snapshot
	ref      func(*catalog.Column) string
}

const maxFilterDepth = 64

// expression writes a filter, or says why it cannot.
func (f *filtering) expression(x Filter, depth int) (text, why string) {
	if depth > maxFilterDepth {
		return "", "is nested too deep"
	}
	switch x.Op {
	case "every":
		return "true", ""
	case "none":
		return "false", ""
	case "all", "any":
		return f.group(x, depth)
	case "not":
		if len(x.Of) != 1 {
			return "", "negates not one condition"
		}
		text, why = f.expression(x.Of[0], depth+1)
		return "(NOT " + text + ")", why
	default:
		return f.comparison(x)
	}
}

func (f *filtering) group(x Filter, depth int) (text, why string) {
	if len(x.Of) == 0 {
		return "", x.Op + " of nothing"
	}
	parts := make([]string, len(x.Of))
	for i, part := range x.Of {
		if parts[i], why = f.expression(part, depth+1); why != "" {
			return "", why
		}
	}
	word := map[string]string{"all": " AND ", "any": " OR "}[x.Op]
	return "(" + strings.Join(parts, word) + ")", ""
}

// operand is a column in a comparison: how it is written, and how constants are.
type operand struct {
	text     string
	family   family
	typ      *catalog.Type // below domains
	constant string        // type of constants, with ::
	equality bool          // there is no order that a policy could mean
}

// byteOrder is the collation in which texts are ordered and searched as Rego does.
const byteOrder = ` COLLATE pg_catalog."C"`

func (f *filtering) operand(name string) (*operand, *catalog.Column, string) {
	c := f.relation.Column(name)
	if c == nil {
		return nil, nil, "there is no column " + catalog.QuoteIdent(name)
	}
	t := f.snapshot.TypeByOID(c.Type)
	for depth := 0; t != nil && t.Kind == 'd' && depth < maxFilterDepth; depth++ {
		t = f.snapshot.TypeByOID(t.Base)
	}
	if t == nil {
		return nil, nil, "the type of column " + catalog.QuoteIdent(name) + " is not known"
	}
	o := &operand{text: f.ref(c), family: familyOf(t), typ: t}
	switch {
	case t.Kind == 'e' && !f.cast(t):
		// An unknown label fails as a constant of the type; as text it is just another.
		o.text, o.family, o.constant, o.equality = o.text+"::pg_catalog.text", textual, "::pg_catalog.text", true
	case t.OID.User() && o.family == textual: // citext
		o.text, o.constant = o.text+"::pg_catalog.text", "::pg_catalog.text"
	case o.family == textual && t.Name == "varchar":
		o.constant = "::pg_catalog.text"
	default:
		o.constant = "::pg_catalog." + quote(t.Name)
		o.equality = o.family == boolean || o.family == uuid
	}
	if o.family == textual && c.Collation.User() {
		o.text += byteOrder // it may hold different texts for equal
	}
	return o, c, ""
}

// cast reports whether a user has made a cast from the type.
func (f *filtering) cast(t *catalog.Type) bool {
	return slices.ContainsFunc(f.snapshot.UserCasts(), func(c catalog.Cast) bool { return c.Source == t.OID })
}

var filterOperators = map[string]string{"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

func (f *filtering) comparison(x Filter) (text, why string) {
	o, c, why := f.operand(x.Column)
	if why != "" {
		return "", why
	}
	if x.Op == "is_null" {
		if o.typ.Kind == 'c' || o.typ.Kind == 'p' {
			return "", "column " + catalog.QuoteIdent(x.Column) + " is of a type that filters are not made for"
		}
		return "(" + f.ref(c) + " IS NULL)", ""
	}
	if o.family == opaque {
		return "", fmt.Sprintf("column %s is of type %s, which filters are not made for", catalog.QuoteIdent(x.Column), c.TypeName)
	}
	operator, simple := filterOperators[x.Op]
	switch {
	case simple && x.Other != "":
		return f.columns(x, o, c, operator)
	case x.Op == "in":
		return f.among(x, o)
	case len(x.Values) != 1 || x.Other != "":
		return "", fmt.Sprintf("column %s is not compared with one value", catalog.QuoteIdent(x.Column))
	case simple:
		value, why := o.literal(x.Values[0], x.Column)
		if why != "" {
			return "", why
		}
		return o.compare(x, operator, value)
	default:
		return o.search(x)
	}
}

// compare writes column OPERATOR value.
func (o *operand) compare(x Filter, operator, value string) (text, why string) {
	left := o.text
	if operator != "=" && operator != "<>" {
		if o.equality {
			return "", fmt.Sprintf("column %s is of a type that has no order in filters", catalog.QuoteIdent(x.Column))
		}
		if o.family == textual && !strings.HasSuffix(left, byteOrder) {
			left += byteOrder
		}
	}
	return "(" + left + " OPERATOR(pg_catalog." + operator + ") " + value + ")", ""
}

func (f *filtering) columns(x Filter, o *operand, c *catalog.Column, operator string) (text, why string) {
	other, d, why := f.operand(x.Other)
	if why != "" {
		return "", why
	}
	if other.typ.OID != o.typ.OID || c.Collation != d.Collation || len(x.Values) > 0 {
		return "", fmt.Sprintf("columns %s and %s are of different types", catalog.QuoteIdent(x.Column), catalog.QuoteIdent(x.Other))
	}
	return o.compare(x, operator, other.text)
}

func (f *filtering) among(x Filter, o *operand) (text, why string) {
	if len(x.Values) == 0 || x.Other != "" {
		return "", fmt.Sprintf("column %s is among no values", catalog.QuoteIdent(x.Column))
	}
	values := make([]string, len(x.Values))
	for i, v := range x.Values {
		if values[i], why = o.literal(v, x.Column); why != "" {
			return "", why
		}
	}
	return "(" + o.text + " OPERATOR(pg_catalog.=) ANY (ARRAY[" + strings.Join(values, ", ") + "]))", ""
}

// search writes the comparisons with a part of a text.
func (o *operand) search(x Filter) (text, why string) {
	part, ok := x.Values[0].(string)
	if !ok || o.family != textual || !storable(part) {
		return "", fmt.Sprintf("column %s is searched for what is no text, or is none itself", catalog.QuoteIdent(x.Column))
	}
	subject := strings.TrimSuffix(o.text, byteOrder) + "::pg_catalog.text" + byteOrder
	wanted := literal(part) + "::pg_catalog.text"
	switch x.Op {
	case "startswith":
		return "(" + subject + " OPERATOR(pg_catalog.^@) " + wanted + ")", ""
	case "endswith":
		return fmt.Sprintf("(pg_catalog.right(%s, %d) OPERATOR(pg_catalog.=) %s)", subject, utf8.RuneCountInString(part), wanted), ""
	case "contains":
		return "(pg_catalog.strpos(" + subject + ", " + wanted + ") OPERATOR(pg_catalog.>) 0)", ""
	default:
		return "", fmt.Sprintf("nobody knows the comparison %q", x.Op)
	}
}

// literal writes a constant that the server takes for the column's type without
// complaint.
func (o *operand) literal(v any, column string) (text, why string) {
	s, ok := o.value(v)
	if !ok {
		return "", fmt.Sprintf("what column %s is compared with does not fit its type, %s", catalog.QuoteIdent(column), o.typ.Name)
	}
	return literal(s) + o.constant, ""
}

func (o *operand) value(v any) (string, bool) {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v), o.family == boolean
	case json.Number:
		return o.number(v.String())
	case string:
		switch o.family {
		case textual:
			return v, storable(v) && (o.typ.Name != "name" || len(v) < 64)
		case uuid:
			return v, uuidText.MatchString(v)
		case date, timestamp, timestamptz:
			return o.time(v)
		default:
			return "", false
		}
	default:
		return "", false
	}
}

// storable reports whether a text can be in a database at all.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// numberText is what JSON calls a number, within bounds.
var numberText = regexp.MustCompile(`^-?\d{1,200}(\.(\d{1,200}))?([eE]([+-]?\d{1,3}))?$`)

func (o *operand) number(s string) (string, bool) {
	parts := numberText.FindStringSubmatch(s)
	n, ok := new(big.Rat).SetString(s)
	if parts == nil || !ok {
		return "", false
	}
	switch o.family {
	case integer:
		return n.Num().String(), n.IsInt() && fits(n.Num(), o.typ.OID)
	case decimal, float:
		digits := len(parts[2])
		if exponent, err := strconv.Atoi(parts[4]); err == nil {
			digits = max(0, digits-exponent)
		}
		written := n.FloatString(digits)
		return written, o.family == decimal || floatFits(written, n, o.typ)
	default:
		return "", false
	}
}

// floatFits reports whether the server would take the number for one of the type.
func floatFits(s string, n *big.Rat, t *catalog.Type) bool {
	bits := 64
	if t.Name == "float4" {
		bits = 32
	}
	f, err := strconv.ParseFloat(s, bits)
	return err == nil && (f != 0 || n.Sign() == 0)
}

// time takes dates for dates, and times with a zone for those that have one; a date
// stands for its midnight, in UTC.
func (o *operand) time(s string) (string, bool) {
	layouts := map[family][]string{
		date:        {time.DateOnly},
		timestamp:   {time.DateOnly, "2006-01-02T15:04:05.999999999", time.DateTime},
		timestamptz: {time.DateOnly, time.RFC3339Nano},
	}
	for _, layout := range layouts[o.family] {
		t, err := time.Parse(layout, s)
		if err != nil || t.Year() < 1 || t.Nanosecond()%1000 != 0 {
			continue
		}
		switch o.family {
		case date:
			return t.Format(time.DateOnly), true
		case timestamp:
			return t.Format("2006-01-02 15:04:05.999999"), true
		default:
			return t.UTC().Format("2006-01-02 15:04:05.999999+00"), true
		}
	}
	return "", false
}
