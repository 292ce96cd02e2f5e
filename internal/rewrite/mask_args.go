package rewrite

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// args reads the parameters of a mask strictly: what is not asked for is an error.
type args struct {
	given map[string]any
	asked []string
	wrong string
}

func newArgs(given map[string]any) *args { return &args{given: given} }

// complaint says what is wrong with the parameters, "" if nothing.
func (a *args) complaint() string {
	if a.wrong != "" {
		return a.wrong
	}
	var unknown []string
	for name := range a.given {
		if !slices.Contains(a.asked, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return ""
	}
	slices.Sort(unknown)
	if len(a.asked) == 0 {
		return "has no parameter " + list(unknown)
	}
	return fmt.Sprintf("has no parameter %s, only %s", list(unknown), list(a.asked))
}

func (a *args) get(name string) (any, bool) {
	a.asked = append(a.asked, name)
	value, ok := a.given[name]
	return value, ok
}

func (a *args) refuse(format string, values ...any) {
	if a.wrong == "" {
		a.wrong = fmt.Sprintf(format, values...)
	}
}

// whole is a whole number within bounds.
func (a *args) whole(name string, otherwise, least, most int) int {
	value, ok := a.get(name)
	if !ok {
		return otherwise
	}
	n, ok := number(value)
	if !ok || n != math.Trunc(n) || n < float64(least) || n > float64(most) {
		a.refuse("needs %s to be a whole number from %d to %d", name, least, most)
		return otherwise
	}
	return int(n)
}

func (a *args) text(name, otherwise string) string {
	value, ok := a.get(name)
	if !ok {
		return otherwise
	}
	s, ok := value.(string)
	if !ok || strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		a.refuse("needs %s to be a string", name)
		return otherwise
	}
	return s
}

// word is a string out of a closed list.
func (a *args) word(name, otherwise string, words []string) string {
	s := a.text(name, otherwise)
	if !slices.Contains(words, s) {
		a.refuse("needs %s to be one of %s", name, strings.Join(words, ", "))
		return otherwise
	}
	return s
}

func number(value any) (float64, bool) {
	switch n := value.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	default:
		return 0, false
	}
}

// plain writes a JSON value as text; false when it is not a string, number or boolean.
func plain(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, !strings.ContainsRune(v, 0) && utf8.ValidString(v)
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	default:
		f, ok := number(value)
		return strconv.FormatFloat(f, 'f', -1, 64), ok
	}
}
