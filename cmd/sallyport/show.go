package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// What comes from the API is shown on a terminal, so it is made visible here too,
// whatever the other end has done.

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// line is text on one line of a table; nothing is a dash.
func line(s string) string {
	if s == "" {
		return "-"
	}
	return admin.VisibleLine(s)
}

const shortRunes = 60

// short is the beginning of text, on one line.
func short(s string) string {
	text := []rune(line(strings.Join(strings.Fields(s), " ")))
	if len(text) > shortRunes {
		text = append(text[:shortRunes-1], '…')
	}
	return string(text)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// page is fields and text below each other. It keeps the first error.
type page struct {
	w   io.Writer
	err error
}

// field leaves out what is empty.
func (p *page) field(name, value string) {
	if p.err == nil && value != "" {
		_, p.err = fmt.Fprintf(p.w, "%-10s %s\n", name, admin.VisibleLine(value))
	}
}

func (p *page) text(s string) {
	for l := range strings.SplitSeq("\n"+admin.Visible(s), "\n") {
		if p.err == nil {
			_, p.err = fmt.Fprintln(p.w, strings.TrimRight("  "+l, " "))
		}
	}
}

// parameters makes a query of pairs, without those that are empty.
func parameters(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}
