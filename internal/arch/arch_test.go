package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// drawers are names under which anything fits.
var drawers = []string{"base", "common", "helper", "helpers", "lib", "misc", "shared", "tools", "types", "util", "utils", "x"}

func TestArchitecture(t *testing.T) {
	top := root(t)
	r := readRules(t, top)
	files := sources(t, top)
	if len(files) < 10 {
		t.Fatalf("only %d Go files found below %s", len(files), top)
	}
	for _, fault := range r.faults(files) {
		t.Error(fault)
	}
}

// faults is all that the files do against the rules.
func (r *rules) faults(files []source) []string {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	present := map[string]bool{}
	comments := map[string][]source{}
	for _, f := range files {
		present[f.dir] = true
		if f.comment != "" {
			comments[f.dir] = append(comments[f.dir], f)
		}
		if slices.Contains(drawers, path.Base(f.dir)) || slices.Contains(drawers, strings.TrimSuffix(f.name, "_test")) {
			add("%s: a package named %s has no one idea", f.path, f.name)
		}
		for _, imported := range f.imports {
			if why := r.forbids(f, imported); why != "" {
				add("%s imports %s: %s", f.path, imported, why)
			}
		}
	}
	for dir := range present {
		if _, listed := r.imports[dir]; !listed {
			add("package %s is not in the table of docs/ARCHITECTURE.md", dir)
		}
		if why := badComment(dir, comments[dir]); why != "" {
			add("package %s: %s", dir, why)
		}
	}
	for dir := range r.imports {
		if !present[dir] {
			add("docs/ARCHITECTURE.md lists package %s, which does not exist", dir)
		}
	}
	slices.Sort(faults)
	return faults
}

// forbids says why a file must not import a package, or nothing.
func (r *rules) forbids(f source, imported string) string {
	if ours, found := strings.CutPrefix(imported, module+"/"); found {
		return r.forbidsOurs(f, ours)
	}
	for dependency, owner := range r.owners {
		if imported != dependency && !strings.HasPrefix(imported, dependency+"/") {
			continue
		}
		switch {
		case owner.packages[f.dir]:
		case f.test && (owner.allTests || owner.tests[f.dir]):
		default:
			return "that dependency has other owners"
		}
	}
	return ""
}

// forbidsOurs lets tests import what they like: only what is shipped has layers.
func (r *rules) forbidsOurs(f source, ours string) string {
	from, to := r.imports[f.dir], r.imports[ours]
	switch {
	case f.test && ours != "cmd/sallyport":
		return ""
	case to.testsOnly && !from.testsOnly:
		return "only tests may"
	case from.all || from.packages[ours]:
		return ""
	default:
		return "the table of docs/ARCHITECTURE.md does not let it"
	}
}

// badComment wants one sentence that says what the package is.
func badComment(dir string, commented []source) string {
	if len(commented) == 0 {
		return "no file has the package comment"
	}
	if len(commented) > 1 {
		return fmt.Sprintf("%s and %s both have a package comment", commented[0].path, commented[1].path)
	}
	f := commented[0]
	begins := "Package " + f.name + " "
	if f.name == "main" {
		begins = "Command " + path.Base(dir) + " "
	}
	text := strings.Join(strings.Fields(f.comment), " ")
	switch {
	case !strings.HasPrefix(text, begins):
		return fmt.Sprintf("the package comment does not begin %q", begins)
	case !strings.HasSuffix(text, "."):
		return "the package comment does not end with a full stop"
	case strings.Contains(text, ". "):
		return "the package comment is more than one sentence"
	}
	return ""
}

const example = `
## Packages
Text.

| package | says | may import of ours |
|---|---|---|
| ` + "`cmd/app`" + ` | wires | all |
| ` + "`a`, `b`" + ` | work | ` + "`c`" + ` |
| ` + "`c`" + ` | is below | – |
| ` + "`pgtest`" + ` | starts things | ` + "`c`" + ` (tests only) |

### Owners of dependencies
| dependency | packages | in tests too |
|---|---|---|
| ` + "`example.com/big`" + ` | ` + "`a`" + ` | ` + "`c`" + ` |
| ` + "`example.com/driver`" + ` | ` + "`c`" + ` | all |
`

func TestFaultsAreFound(t *testing.T) {
	r, err := parseRules(example)
	if err != nil {
		t.Fatal(err)
	}
	ours := module + "/"
	good := []source{
		{path: "cmd/app/main.go", dir: "cmd/app", name: "main", comment: "Command app runs.", imports: []string{ours + "a", ours + "c"}},
		{path: "a/a.go", dir: "a", name: "a", comment: "Package a works.", imports: []string{"fmt", ours + "c", "example.com/big/part"}},
		{path: "a/a_test.go", dir: "a", name: "a", test: true, imports: []string{ours + "b", ours + "pgtest", "example.com/driver"}},
		{path: "b/b.go", dir: "b", name: "b", comment: "Package b works too."},
		{path: "c/c.go", dir: "c", name: "c", comment: "Package c is below.", imports: []string{"example.com/driver"}},
		{path: "c/c_test.go", dir: "c", name: "c", test: true, imports: []string{"example.com/big"}},
		{path: "pgtest/p.go", dir: "pgtest", name: "pgtest", comment: "Package pgtest starts.", imports: []string{ours + "c"}},
	}
	if faults := r.faults(good); len(faults) > 0 {
		t.Fatalf("good files have faults: %q", faults)
	}
	for name, bad := range map[string]source{
		"up":              {path: "c/d.go", dir: "c", name: "c", imports: []string{ours + "a"}},
		"sideways":        {path: "a/d.go", dir: "a", name: "a", imports: []string{ours + "b"}},
		"for tests":       {path: "a/d.go", dir: "a", name: "a", imports: []string{ours + "pgtest"}},
		"even for all":    {path: "cmd/app/d.go", dir: "cmd/app", name: "main", imports: []string{ours + "pgtest"}},
		"owned":           {path: "b/d.go", dir: "b", name: "b", imports: []string{"example.com/big"}},
		"owned in tests":  {path: "b/d_test.go", dir: "b", name: "b", test: true, imports: []string{"example.com/big"}},
		"second comment":  {path: "a/d.go", dir: "a", name: "a", comment: "Package a again."},
		"unlisted":        {path: "d/d.go", dir: "d", name: "d", comment: "Package d is new."},
		"drawer":          {path: "b/util/d.go", dir: "b/util", name: "util", comment: "Package util does."},
		"two sentences":   {path: "d/d.go", dir: "d", name: "d", comment: "Package d is. It is new."},
		"other beginning": {path: "d/d.go", dir: "d", name: "d", comment: "This is d."},
	} {
		t.Run(name, func(t *testing.T) {
			if len(r.faults(append(slices.Clone(good), bad))) == 0 {
				t.Error("no fault found")
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		if faults := r.faults(good[:len(good)-1]); len(faults) != 1 {
			t.Errorf("faults: %q", faults)
		}
	})
}

func TestCommentFaults(t *testing.T) {
	for comment, wanted := range map[string]bool{
		"Package d keeps one thing.":         true,
		"Package d keeps\none thing.":        true,
		"Package d keeps one thing":          false,
		"Package d keeps. And more.":         false,
		"Package dd keeps one thing.":        false,
		"d keeps one thing.":                 false,
		"Package d keeps v1.2 and so on, x.": true,
	} {
		why := badComment("d", []source{{dir: "d", name: "d", comment: comment}})
		if (why == "") != wanted {
			t.Errorf("%q: %q", comment, why)
		}
	}
	if badComment("d", nil) == "" {
		t.Error("no comment is no fault")
	}
}
