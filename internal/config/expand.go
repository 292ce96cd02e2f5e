package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// reference is ${env:NAME} or ${file:/path}; any other ${…} is a mistake, and
// $${ is how a literal ${ is written.
var reference = regexp.MustCompile(`\$\$\{|\$\{([^}]*)\}?`)

// maxReferenced bounds what ${file:…} reads: it is for secrets, not for data.
const maxReferenced = 1 << 20

// expand replaces the references in a value. The second result is false when
// there were none, so that a value made of secrets is not quoted in complaints.
func expand(value, dir string) (string, bool, error) {
	var failed error
	expanded := false
	result := reference.ReplaceAllStringFunc(value, func(match string) string {
		if match == "$${" {
			return "${"
		}
		expanded = true
		text, err := resolve(match, dir)
		if err != nil && failed == nil {
			failed = err
		}
		return text
	})
	return result, expanded, failed
}

func resolve(match, dir string) (string, error) {
	if !strings.HasSuffix(match, "}") {
		return "", fmt.Errorf("%s has no closing }; write $${ for a literal ${", match)
	}
	source, name, _ := strings.Cut(match[2:len(match)-1], ":")
	switch {
	case name == "":
	case source == "env":
		value, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		return value, nil
	case source == "file":
		return readReferenced(name, dir)
	}
	return "", fmt.Errorf("%s is not understood: write ${env:NAME} or ${file:/path}, or $${ for a literal ${", match)
}

func readReferenced(name, dir string) (string, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("${file:%s} cannot be read: %w", name, err)
	}
	if info.Size() > maxReferenced {
		return "", fmt.Errorf("${file:%s} is larger than %d bytes", name, maxReferenced)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("${file:%s} cannot be read: %w", name, err)
	}
	// Editors and `echo` end a file with a line break that is not part of the secret.
	return strings.TrimRight(string(content), "\r\n"), nil
}
