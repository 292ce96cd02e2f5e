package rego

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Complaint is something wrong with a bundle.
type Complaint struct {
	File    string // relative to the directory, "" where it is about no single file
	Line    int    // 0 where there is none
	Message string
}

func (c Complaint) String() string {
	switch {
	case c.File == "":
		return c.Message
	case c.Line == 0:
		return c.File + ": " + c.Message
	default:
		return fmt.Sprintf("%s:%d: %s", c.File, c.Line, c.Message)
	}
}

// Known is what the proxy's configuration knows of the names bindings use. Nil
// slices are not checked against.
type Known struct {
	Issuers     []string
	Connections []string
}

// Check says everything that is wrong with the bundle in a directory, in order of
// files and lines; nothing means that an engine would put it into use. It also
// complains of what is legal Rego but says nothing, such as a rule that nobody asks
// for, and of names in bindings that nothing else knows.
func Check(ctx context.Context, dir string, known Known) []Complaint {
	files, err := readDirectory(dir)
	if err != nil {
		return []Complaint{{Message: fmt.Sprintf("policy directory %s: %v", dir, err)}}
	}
	c := &checker{files: files, complaints: apparent(files, known)}
	if len(c.complaints) == 0 {
		c.wouldLoad(ctx)
	}
	return c.sorted()
}

// apparent are the complaints that the files alone give reason for.
func apparent(files *bundleFiles, known Known) []Complaint {
	c := &checker{files: files}
	c.bindings(c.compile(), known)
	return c.sorted()
}

func (c *checker) sorted() []Complaint {
	slices.SortStableFunc(c.complaints, func(a, b Complaint) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(c.complaints)
}

type checker struct {
	files      *bundleFiles
	complaints []Complaint
}

func (c *checker) complain(file string, line int, format string, args ...any) {
	c.complaints = append(c.complaints, Complaint{strings.TrimPrefix(file, "/"), line, fmt.Sprintf(format, args...)})
}

func (c *checker) at(loc *ast.Location, format string, args ...any) {
	if loc == nil {
		loc = &ast.Location{}
	}
	c.complain(loc.File, loc.Row, format, args...)
}

// regoErrors complains of each of the errors that OPA lists.
func (c *checker) regoErrors(file string, err error) {
	var list ast.Errors
	if !errors.As(err, &list) {
		c.complain(file, 0, "%v", err)
		return
	}
	for _, e := range list {
		message := e.Message
		if e.Details != nil {
			message += ": " + strings.Join(strings.Fields(strings.Join(e.Details.Lines(), " ")), " ")
		}
		c.at(e.Location, "%s: %s", e.Code, message)
	}
}

// compile parses and compiles as `opa check --strict --schema` does. It returns nil
// where that leads to nothing.
func (c *checker) compile() *ast.Compiler {
	modules := map[string]*ast.Module{}
	whole := true
	for _, f := range c.files.files {
		if path.Ext(f.name) != ".rego" {
			continue
		}
		m, err := ast.ParseModuleWithOpts(f.name, string(f.content), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
		if err != nil {
			whole = false
			c.regoErrors(f.name, err)
			continue
		}
		if m == nil {
			continue // an empty file
		}
		modules[f.name] = m
		c.lint(m)
	}
	set, err := schemas()
	if err != nil {
		c.complain("", 0, "%v", err)
		return nil
	}
	compiler := ast.NewCompiler().WithStrict(true).WithSchemas(set).WithUseTypeCheckAnnotations(true).SetErrorLimit(0)
	compiler.Compile(modules)
	if compiler.Failed() {
		c.regoErrors("", slices.DeleteFunc(compiler.Errors, func(e *ast.Error) bool {
			// what could not be parsed would be missed here in other words
			return !whole && strings.Contains(e.Message, "undefined function")
		}))
		return nil
	}
	for _, ref := range []ast.Ref{sessionEntrypoint, statementEntrypoint} {
		if whole && len(compiler.GetRulesExact(ref)) == 0 {
			c.complain("", 0, "there is no rule %v: the directory has a package sallyport of its own, which must decide", ref)
		}
	}
	c.filterRules(compiler, modules)
	return compiler
}

// wouldLoad tries what an engine does with the bundle, for what only shows then.
func (c *checker) wouldLoad(ctx context.Context) {
	e, err := New(ctx, Config{})
	if err != nil {
		c.complain("", 0, "%v", err)
		return
	}
	defer e.Close(context.WithoutCancel(ctx))
	d := newDirectory(e.manager, "", nil, nil)
	if err := d.activate(ctx, c.files); err != nil {
		c.regoErrors("", err)
	} else if refused := e.Status().Error; refused != "" {
		c.complain("", 0, "%s", refused)
	} else if s := e.current.Load(); s != nil {
		c.complaints = append(c.complaints, s.faults...)
	}
}
