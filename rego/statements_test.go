package rego

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/STATEMENTS.md says of each rule of the library and of the guardrails what it
// is for.
func TestEveryRuleIsInTheDocument(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "docs", "STATEMENTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`"rule": "((?:sallyport|guardrails)/[a-z-]+)"`)
	seen := map[string]bool{}
	eachRego(t, shippedRoot, func(path string, content []byte) {
		if strings.HasSuffix(path, "_test.rego") {
			return
		}
		for _, m := range rule.FindAllStringSubmatch(string(content), -1) {
			seen[m[1]] = true
		}
	})
	if len(seen) < 10 {
		t.Errorf("only %d rules were found", len(seen))
	}
	for id := range seen {
		if !strings.Contains(string(doc), "`"+id+"`") {
			t.Errorf("docs/STATEMENTS.md does not tell of %s", id)
		}
	}
	for _, m := range regexp.MustCompile("`((?:sallyport|guardrails)/[a-z-]+)`").FindAllStringSubmatch(string(doc), -1) {
		if !seen[m[1]] {
			t.Errorf("docs/STATEMENTS.md tells of %s, which no policy has", m[1])
		}
	}
}
