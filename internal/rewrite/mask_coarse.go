package rewrite

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/catalog"
)

// units are what dates are cut to, finest first; a date knows only those after day.
var units = []string{"second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century"}

const maxDigits = 15

// coarse makes numbers and dates less exact: numbers are rounded or truncated to so
// many digits after the point (before it, if negative), dates and times are truncated
// to a unit either way. Where that would hide nothing, as two digits of a whole
// number, it falls back to NULL.
func (k *masking) coarse(function string) string {
	digits := k.args.whole("digits", 0, -maxDigits, maxDigits)
	unit := k.args.word("unit", "year", units)
	switch familyOf(k.typ) {
	case integer:
		if digits >= 0 {
			return ""
		}
		return k.coarseNumber(function, digits, integerLimits[k.typ.OID])
	case decimal:
		limit, scale := decimalLimit(k.col.TypeMod)
		if k.col.TypeMod >= 0 && digits >= scale {
			return ""
		}
		return k.coarseNumber(function, digits, limit)
	case float:
		return k.coarseFloat(function, digits)
	case date, timestamp, timestamptz:
		return k.coarseTime(unit)
	default:
		return ""
	}
}

// integerLimits are the first numbers beyond the types.
var integerLimits = map[catalog.OID]string{21: "32768", 23: "2147483648", 20: "9223372036854775808"}

// decimalLimit is the first number too large for numeric(p,s), and s. Without a
// modifier there is none.
func decimalLimit(typmod int32) (limit string, scale int) {
	if typmod < 0 {
		return "", 0
	}
	precision := int(typmod-4) >> 16 & 0xffff
	scale = int((typmod-4)&0x7ff^1024) - 1024
	if precision >= scale {
		return "1" + strings.Repeat("0", precision-scale), scale
	}
	return "0." + strings.Repeat("0", scale-precision-1) + "1", scale
}

// coarseNumber rounds unless the rounded number would not fit the type: 32767 to
// thousands is 33000, no smallint. Then it truncates.
func (k *masking) coarseNumber(function string, digits int, limit string) string {
	x := k.ref + "::pg_catalog.numeric"
	truncated := fmt.Sprintf("pg_catalog.trunc(%s, %d)", x, digits)
	if function == "trunc" {
		return truncated
	}
	rounded := fmt.Sprintf("pg_catalog.round(%s, %d)", x, digits)
	if limit == "" {
		return rounded
	}
	return fmt.Sprintf("CASE WHEN pg_catalog.abs(%s) OPERATOR(pg_catalog.<) '%s'::pg_catalog.numeric THEN %s ELSE %s END",
		rounded, limit, rounded, truncated)
}

// coarseFloat leaves numbers alone that are so large that rounding changes nothing,
// among them infinity and NaN: they could not be converted.
func (k *masking) coarseFloat(function string, digits int) string {
	limit := "1e30"
	if k.typ.Name == "float8" {
		limit = "1e300"
	}
	return fmt.Sprintf("CASE WHEN pg_catalog.abs(%[1]s) OPERATOR(pg_catalog.<) '%[2]s'::pg_catalog.%[3]s "+
		"THEN pg_catalog.%[4]s(%[1]s::pg_catalog.numeric, %[5]d)::pg_catalog.%[3]s ELSE %[1]s END",
		k.ref, limit, quote(k.typ.Name), function, digits)
}

// coarseTime truncates in UTC, whatever the session's time zone. What is too far in
// the past or future to be truncated becomes NULL; infinity stays.
func (k *masking) coarseTime(unit string) string {
	var cut string
	low, high := "4000-01-01 BC", "290000-01-01"
	typ := "pg_catalog." + quote(k.typ.Name)
	switch familyOf(k.typ) {
	case date:
		if unit == "second" || unit == "minute" || unit == "hour" || unit == "day" {
			return ""
		}
		cut = fmt.Sprintf("pg_catalog.date_trunc('%s', %s::pg_catalog.timestamp)::pg_catalog.date", unit, k.ref)
	case timestamp:
		cut = fmt.Sprintf("pg_catalog.date_trunc('%s', %s)", unit, k.ref)
	default:
		low, high = "4000-01-01 00:00:00+00 BC", "290000-01-01 00:00:00+00"
		cut = fmt.Sprintf("pg_catalog.timezone('UTC', pg_catalog.date_trunc('%s', pg_catalog.timezone('UTC', %s)))", unit, k.ref)
	}
	return fmt.Sprintf("CASE WHEN %[1]s OPERATOR(pg_catalog.>) '%[2]s'::%[4]s AND %[1]s OPERATOR(pg_catalog.<) '%[3]s'::%[4]s "+
		"THEN %[5]s WHEN pg_catalog.isfinite(%[1]s) THEN NULL ELSE %[1]s END", k.ref, low, high, typ, cut)
}
