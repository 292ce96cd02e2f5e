package arch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport"

// rules is what the tables of docs/ARCHITECTURE.md say.
type rules struct {
	imports map[string]allowance // by package
	owners  map[string]ownership // by path of a dependency
}

// allowance is what a package may import of ours.
type allowance struct {
	all       bool
	testsOnly bool // nothing but tests may import the package
	packages  map[string]bool
}

// ownership says which packages may import a dependency, and which in their tests too.
type ownership struct {
	packages map[string]bool
	tests    map[string]bool
	allTests bool
}

var quoted = regexp.MustCompile("`([^`]+)`")

// names lists what stands in backticks in a cell.
func names(cell string) []string {
	var list []string
	for _, found := range quoted.FindAllStringSubmatch(cell, -1) {
		list = append(list, found[1])
	}
	return list
}

func set(list []string) map[string]bool {
	s := map[string]bool{}
	for _, name := range list {
		s[name] = true
	}
	return s
}

// rows gives the cells of the table that follows a heading.
func rows(document, heading string) ([][]string, error) {
	_, section, found := strings.Cut(document, "\n"+heading+"\n")
	if !found {
		return nil, fmt.Errorf("docs/ARCHITECTURE.md has no heading %q", heading)
	}
	var table [][]string
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			table = append(table, cells)
		case strings.HasPrefix(line, "#"), len(table) > 0:
			return body(table, heading)
		}
	}
	return body(table, heading)
}

// body leaves out the header and the line below it.
func body(table [][]string, heading string) ([][]string, error) {
	if len(table) < 3 {
		return nil, fmt.Errorf("docs/ARCHITECTURE.md has no table below %q", heading)
	}
	for _, row := range table {
		if len(row) != len(table[0]) {
			return nil, fmt.Errorf("docs/ARCHITECTURE.md: below %q the row %q has %d cells, not %d", heading, row, len(row), len(table[0]))
		}
	}
	return table[2:], nil
}

func parseRules(document string) (*rules, error) {
	r := &rules{imports: map[string]allowance{}, owners: map[string]ownership{}}
	packages, err := rows(document, "## Packages")
	if err != nil {
		return nil, err
	}
	for _, row := range packages {
		for _, name := range names(row[0]) {
			r.imports[name] = allowance{
				all:       strings.HasPrefix(row[2], "all"),
				testsOnly: strings.Contains(row[2], "tests only"),
				packages:  set(names(row[2])),
			}
		}
	}
	dependencies, err := rows(document, "### Owners of dependencies")
	if err != nil {
		return nil, err
	}
	for _, row := range dependencies {
		for _, path := range names(row[0]) {
			r.owners[path] = ownership{packages: set(names(row[1])), tests: set(names(row[2])), allTests: strings.HasPrefix(row[2], "all")}
		}
	}
	return r, nil
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		t.Fatal("no go.mod above the working directory")
	}
}

func readRules(t *testing.T, root string) *rules {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRules(string(content))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
