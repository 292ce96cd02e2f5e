package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// source is one Go file of ours.
type source struct {
	path    string // from the root, with slashes
	dir     string // its package, as the table names it
	name    string // of its package clause
	test    bool
	imports []string
	comment string // its package comment
}

// sources parses every Go file below root, whatever its build tags.
func sources(t *testing.T, root string) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		list = append(list, describe(filepath.ToSlash(relative), parsed))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func describe(path string, file *ast.File) source {
	s := source{path: path, dir: filepath.ToSlash(filepath.Dir(path)), name: file.Name.Name, test: strings.HasSuffix(path, "_test.go")}
	for _, i := range file.Imports {
		if imported, err := strconv.Unquote(i.Path.Value); err == nil {
			s.imports = append(s.imports, imported)
		}
	}
	s.comment = strings.TrimSpace(file.Doc.Text())
	return s
}
