package rewrite

import (
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/catalog"
)

// replace puts a constant in the place of every value. The constant is checked here,
// so that the server has nothing to complain of.
func (k *masking) replace() (expression, why string) {
	value, given := k.args.get("value")
	if !given {
		return "", "needs a value"
	}
	if value == nil {
		return "", ""
	}
	s, ok := plain(value)
	if !ok {
		return "", "needs value to be a string, a number or a boolean"
	}
	_, isString := value.(string)
	_, isBool := value.(bool)
	switch familyOf(k.typ) {
	case textual:
		return literal(s) + "::pg_catalog.text", ""
	case integer:
		if n, ok := new(big.Int).SetString(s, 10); isBool || !ok || !fits(n, k.typ.OID) {
			return "", "needs value to be a whole number that fits " + k.col.TypeName
		}
	case decimal, float:
		if isBool || !decimalText.MatchString(s) || !k.decimalFits(s) {
			return "", "needs value to be a number that fits " + k.col.TypeName
		}
	case boolean:
		if s != "true" && s != "false" {
			return "", "needs value to be true or false"
		}
	case uuid:
		if !isString || !uuidText.MatchString(s) {
			return "", "needs value to be a UUID"
		}
	case date, timestamp, timestamptz:
		if s, ok = timeText(s, familyOf(k.typ)); !ok {
			return "", "needs value to be a date, as 2000-12-31, or a time, as 2000-12-31T23:59:59Z"
		}
	default:
		return "", ""
	}
	return literal(s) + "::pg_catalog." + quote(k.typ.Name), ""
}

var (
	decimalText = regexp.MustCompile(`^-?\d{1,300}(\.\d{1,300})?$`)
	uuidText    = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

func fits(n *big.Int, typ catalog.OID) bool {
	limit, ok := new(big.Int).SetString(integerLimits[typ], 10)
	return ok && new(big.Int).Abs(n).Cmp(limit) < 0
}

// decimalFits reports whether the server would take the number for the column: not
// after rounding either may it reach the limit.
func (k *masking) decimalFits(s string) bool {
	n, ok := new(big.Rat).SetString(strings.TrimPrefix(s, "-"))
	if !ok {
		return false
	}
	limit, scale := "1e30", 0
	switch {
	case familyOf(k.typ) == decimal && k.col.TypeMod < 0:
		return true
	case familyOf(k.typ) == decimal:
		limit, scale = decimalLimit(k.col.TypeMod)
		n.SetString(n.FloatString(max(scale, 0)))
	case k.typ.Name == "float8":
		limit = "1e299"
	}
	most, ok := new(big.Rat).SetString(limit)
	return ok && n.Cmp(most) < 0
}

func timeText(s string, f family) (string, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime} {
		t, err := time.Parse(layout, s)
		if err != nil || t.Year() < 1 {
			continue
		}
		switch {
		case f == date:
			return t.Format(time.DateOnly), true
		case f == timestamp:
			return t.Format("2006-01-02 15:04:05.999999"), true
		default:
			return t.UTC().Format("2006-01-02 15:04:05.999999+00"), true
		}
	}
	return "", false
}
