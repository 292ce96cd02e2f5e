package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Complaint is one thing that is wrong with a file, and where.
type Complaint struct {
	File    string
	Line    int // 0: the file as a whole
	Message string
}

func (c Complaint) String() string {
	if c.Line == 0 {
		return fmt.Sprintf("%s: %s", c.File, c.Message)
	}
	return fmt.Sprintf("%s:%d: %s", c.File, c.Line, c.Message)
}

// Complaints is everything that is wrong with a file, as the error of Load.
type Complaints []Complaint

func (cs Complaints) Error() string {
	lines := make([]string, len(cs))
	for i, c := range cs {
		lines[i] = c.String()
	}
	return strings.Join(lines, "\n")
}

// sorted puts complaints in the order of the file, each said once.
func (cs Complaints) sorted() Complaints {
	slices.SortStableFunc(cs, func(a, b Complaint) int { return cmp.Compare(a.Line, b.Line) })
	return slices.Compact(cs)
}

// meant names the known word that the unknown one was probably meant to be.
func meant(unknown string, known []string) string {
	best, least := "", 1+(len(unknown)+2)/3
	for _, word := range known {
		if d := distance(strings.ToLower(unknown), word); d < least {
			best, least = word, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// distance counts the edits between two words; two neighbours that changed
// places are one edit, since that is how keys are mistyped.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
