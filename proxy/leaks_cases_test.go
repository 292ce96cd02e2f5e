package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// leakCase is a case of testdata/leaks; its README says how they are written.
type leakCase struct {
	name       string
	where      string // file and line
	file       string
	line       int
	statements []string

	refused string   // of honest ones: part of the message they are still refused with
	now     string   // what they are refused with in this run
	leaks   string   // of attacks: what they still get
	params  []string // in the extended protocols; such a case is not run in the simple one
	data    string   // for COPY FROM STDIN
	undo    string   // run by the superuser afterwards, where the case leaves something behind
	how     string   // see howRun
	compare string   // "columns": of the result, only columns and tags are compared
	only    protocolMode
}

var caseKey = regexp.MustCompile(`^(refused|leaks|param|data|undo|how|compare|only): (.*)$`)

func readLeakCases(t testing.TB, dir string) []*leakCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "testdata", "leaks", dir, *leakFiles))
	must(t, err)
	var cases []*leakCase
	names := map[string]string{}
	for _, file := range files {
		for _, c := range readLeakFile(t, file) {
			if before := names[c.name]; before != "" {
				t.Fatalf("%s: %q is at %s already", c.where, c.name, before)
			}
			names[c.name] = c.where
			cases = append(cases, c)
		}
	}
	return cases
}

func readLeakFile(t testing.TB, file string) []*leakCase {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	var cases []*leakCase
	var c *leakCase
	var sql strings.Builder
	finish := func() {
		if c == nil {
			return
		}
		if strings.TrimSpace(sql.String()) != "" {
			c.statements = append(c.statements, strings.TrimSpace(sql.String()))
		}
		sql.Reset()
		if len(c.statements) == 0 {
			t.Fatalf("%s: %q has no statement", c.where, c.name)
		}
		if c.how == "" {
			c.how = howRun(c.statements)
		}
		cases = append(cases, c)
	}
	for i, line := range strings.Split(string(text), "\n") {
		name, isName := strings.CutPrefix(line, "# ")
		key := caseKey.FindStringSubmatch(line)
		switch {
		case isName:
			finish()
			c = &leakCase{name: name, where: fmt.Sprintf("%s:%d", filepath.Base(file), i+1), file: file, line: i}
		case c == nil && strings.TrimSpace(line) == "":
		case c == nil:
			t.Fatalf("%s:%d: no case has begun", file, i+1)
		case key != nil && len(c.statements) == 0 && sql.Len() == 0:
			c.set(key[1], key[2])
		default:
			sql.WriteString(line + "\n")
			if statement, ends := strings.CutSuffix(line, ";"); ends && !strings.HasSuffix(statement, "\\") {
				c.statements = append(c.statements, strings.TrimSpace(sql.String()))
				sql.Reset()
			}
		}
	}
	finish()
	return cases
}

func (c *leakCase) set(key, value string) {
	switch key {
	case "refused":
		c.refused = value
	case "leaks":
		c.leaks = value
	case "param":
		c.params = append(c.params, value)
	case "data":
		c.data += strings.ReplaceAll(value, `\t`, "\t") + "\n"
	case "undo":
		c.undo = value
	case "how":
		c.how = value
	case "compare":
		c.compare = value
	case "only":
		c.only = protocolMode(value)
	}
}

// How a case is run.
const (
	readingRun   = "reading"   // as it is, in a session shared with others
	changingRun  = "changing"  // in a transaction that is rolled back
	sessionRun   = "session"   // as it is, in a session of its own; it must leave nothing behind
	schemaRun    = "schema"    // the same; straight in a transaction that is rolled back
	committedRun = "committed" // the same; straight in databases of its own
)

var (
	readingText  = regexp.MustCompile(`(?i)^\s*(select\b|with\b|values\b|table\b|\(|explain\b)`)
	changingText = regexp.MustCompile(`(?i)^\s*(select\b|with\b|values\b|table\b|\(|explain\b|insert\b|update\b|delete\b|merge\b|copy\b|truncate\b|lock\b)`)
	sideEffects  = regexp.MustCompile(`(?i)\b(insert|update|delete|merge|into|create|analyze|nextval|setval|set_config|lo_\w+|pg_notify|advisory\w*|dblink\w*|prepare)\b`)
	sessionText  = regexp.MustCompile(`(?i)^\s*(begin|start|declare|prepare|set|listen|show|reset|discard)\b`)
)

func howRun(statements []string) string {
	reading, changing := true, true
	for _, sql := range statements {
		reading = reading && readingText.MatchString(sql) && !sideEffects.MatchString(sql)
		changing = changing && changingText.MatchString(sql) && !regexp.MustCompile(`(?i)\bcreate\b`).MatchString(sql)
	}
	switch {
	case reading:
		return readingRun
	case changing:
		return changingRun
	case sessionText.MatchString(statements[0]):
		return sessionRun
	default:
		return schemaRun
	}
}

// modes are the protocols that a case can be told in.
func (c *leakCase) modes() []protocolMode {
	switch {
	case c.only != "":
		return []protocolMode{c.only}
	case len(c.params) > 0:
		return protocolModes[1:]
	case c.how == schemaRun || c.how == committedRun:
		return []protocolMode{simpleMode, binaryMode} // what they leak comes as text
	default:
		return protocolModes
	}
}

var orders = regexp.MustCompile(`(?i)\border\s+by\b`)

func (c *leakCase) ordered() bool { return orders.MatchString(strings.Join(c.statements, " ")) }

// markAgain writes down with what the honest cases are refused now.
func markAgain(t testing.TB, cases []*leakCase) {
	t.Helper()
	files := map[string][]string{}
	for _, c := range cases {
		if files[c.file] == nil {
			text, err := os.ReadFile(c.file)
			must(t, err)
			files[c.file] = strings.Split(string(text), "\n")
		}
		lines := files[c.file]
		if lines[c.line+1] = strings.TrimPrefix(lines[c.line+1], "refused: "+c.refused); lines[c.line+1] == "" {
			lines[c.line+1] = removed
		}
		if c.now != "" {
			lines[c.line] += "\nrefused: " + c.now
		}
	}
	for file, lines := range files {
		kept := slices.DeleteFunc(lines, func(line string) bool { return line == removed })
		must(t, os.WriteFile(file, []byte(strings.Join(kept, "\n")), 0o600))
	}
}

const removed = "\x00"
