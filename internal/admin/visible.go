package admin

import (
	"fmt"
	"strings"
	"unicode"
)

// Visible makes text that somebody else wrote safe to look at: what would not be
// seen (controls, marks that change the direction of writing, joiners, odd spaces,
// bytes that are no text) is written as an escape. Line breaks and tabs stay. Done
// twice it changes nothing more.
func Visible(s string) string { return visible(s, "\n\t") }

// VisibleLine is Visible for text that must stay on one line.
func VisibleLine(s string) string { return visible(s, "") }

func visible(s, kept string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	unseen := func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(kept, r) }
	if !strings.ContainsFunc(s, unseen) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !unseen(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, "\\U%08x", r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

func visibleAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = VisibleLine(s)
	}
	return out
}
