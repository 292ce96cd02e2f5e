package identity

import (
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode"
)

// claims are a token's, strictly decoded; numbers are json.Number.
type claims map[string]any

// lookup finds a claim by its name, or by a path into nested ones if name starts with a slash. A null is no claim.
func (c claims) lookup(name string) (any, bool) {
	path, nested := strings.CutPrefix(name, "/")
	if !nested {
		value := c[name]
		return value, value != nil
	}
	var value any = map[string]any(c)
	for step := range strings.SplitSeq(path, "/") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[step]; !ok {
			return nil, false
		}
	}
	return value, value != nil
}

const maxTextBytes = 1024

// text returns "" for a claim that is not there. What it returns goes into logs and records, so it holds no control characters.
func (c claims) text(name string) (string, error) {
	value, present := c.lookup(name)
	if !present {
		return "", nil
	}
	text, ok := value.(string)
	if number, isNumber := value.(json.Number); isNumber {
		text, ok = number.String(), true // numeric ids: project_id, repository_id
	}
	switch {
	case !ok:
		return "", invalid(name, "is not a string")
	case len(text) > maxTextBytes:
		return "", invalid(name, "is too long")
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", invalid(name, "has control characters")
	}
	return text, nil
}

// first returns the first of the named claims that is there.
func (c claims) first(names []string) (string, error) {
	for _, name := range names {
		if text, err := c.text(name); text != "" || err != nil {
			return text, err
		}
	}
	return "", nil
}

// list reads a list of strings, or a string as a list of one, as some issuers send it. It never returns nil.
func (c claims) list(name string) ([]string, error) {
	value, present := c.lookup(name)
	if !present {
		return []string{}, nil
	}
	switch value := value.(type) {
	case string:
		return []string{value}, nil
	case []any:
		list := make([]string, 0, len(value))
		for _, member := range value {
			text, ok := member.(string)
			if !ok {
				return nil, invalid(name, "has something else than strings in its list")
			}
			list = append(list, text)
		}
		return list, nil
	default:
		return nil, invalid(name, "is neither a string nor a list of strings")
	}
}

// instant reads a NumericDate. Whole seconds are enough: the fraction is cut off, which for exp is the strict side.
func (c claims) instant(name string) (time.Time, bool, error) {
	value, present := c.lookup(name)
	if !present {
		return time.Time{}, false, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false, invalid(name, "is not a number of seconds")
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > latest {
		return time.Time{}, false, invalid(name, "is not a time between 1970 and 9999")
	}
	return time.Unix(int64(math.Floor(seconds)), 0).UTC(), true, nil
}

const latest = 253402300799 // the end of 9999

// numbers reads Entra's facets: numbers in a string, in any order.
func (c claims) numbers(name string) map[string]bool {
	text, _ := c[name].(string)
	set := map[string]bool{}
	for number := range strings.FieldsSeq(text) {
		set[number] = true
	}
	return set
}
