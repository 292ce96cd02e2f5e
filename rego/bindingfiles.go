package rego

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"
)

// position is where something stands in the bundle's files.
type position struct {
	file string
	line int
}

// bindingFiles is data.bindings, put together from the files that hold it, with
// the place of each binding and key.
type bindingFiles struct {
	values map[string]any
	places map[string]position // by "binding" and "binding/key"
}

// bindings complains of what is wrong with bindings, by file and line.
func (c *checker) bindings(compiler *ast.Compiler, known Known) {
	b := c.readBindings()
	value, err := ast.InterfaceToValue(b.values)
	if err != nil {
		c.complain("bindings", 0, "%v", err)
		return
	}
	for _, f := range bindingFaults(value) {
		place, ok := b.places[f.binding+"/"+f.key]
		if !ok {
			place = b.places[f.binding]
		}
		c.complain(place.file, place.line, "%v", f)
	}
	var loaded []string
	if compiler != nil {
		loaded = policyNames(compiler)
	}
	for name, v := range b.values {
		binding, ok := v.(map[string]any)
		if !ok {
			continue
		}
		c.bound(b, name, binding, compiler != nil, loaded)
		c.knownNames(b, name, "issuers", binding, known.Issuers, func(want, have string) bool { return want == have })
		c.knownNames(b, name, "connection", binding, known.Connections, globMatches)
	}
}

// policyNames are the packages right below data.policy.
func policyNames(compiler *ast.Compiler) []string {
	var names []string
	for _, m := range compiler.Modules {
		p := m.Package.Path
		if len(p) < 3 || !p[1].Equal(ast.InternedTerm("policy")) {
			continue
		}
		if s, ok := p[2].Value.(ast.String); ok {
			names = append(names, string(s))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *checker) bound(b *bindingFiles, name string, binding map[string]any, compiled bool, loaded []string) {
	for _, policy := range texts(binding["policy"]) {
		pkg := strings.ReplaceAll(policy, "-", "_")
		if !compiled || slices.Contains(loaded, pkg) {
			continue
		}
		place := b.place(name, "policy")
		hint := ""
		if near := nearest(pkg, loaded); near != "" {
			hint = " (did you mean " + strings.ReplaceAll(near, "_", "-") + "?)"
		}
		c.complain(place.file, place.line, "binding %s: there is no policy %q: no file has package policy.%s%s", name, policy, pkg, hint)
	}
}

func (c *checker) knownNames(b *bindingFiles, name, key string, binding map[string]any, known []string, matches func(want, have string) bool) {
	if known == nil {
		return
	}
	for _, want := range texts(binding[key]) {
		if slices.ContainsFunc(known, func(have string) bool { return matches(want, have) }) {
			continue
		}
		place := b.place(name, key)
		c.complain(place.file, place.line, "binding %s: %s: the configuration knows no %q, only %s", name, key, want, strings.Join(known, ", "))
	}
}

func (b *bindingFiles) place(name, key string) position {
	if p, ok := b.places[name+"/"+key]; ok {
		return p
	}
	return b.places[name]
}

// texts are the strings of a value that is one or a list of them.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	default:
		return nil
	}
}

// globMatches understands what is usual in names of connections: * and ?. What
// else a glob may hold is taken to match, as only Rego can tell.
func globMatches(pattern, name string) bool {
	if strings.ContainsAny(pattern, `[]{}!\`) {
		return true
	}
	expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("^(?s:" + expr + ")$").MatchString(name)
}

func (c *checker) readBindings() *bindingFiles {
	for _, name := range c.files.unread() {
		c.complain(name, 0, whereBindingsAre)
	}
	b := &bindingFiles{values: map[string]any{}, places: map[string]position{}}
	for _, f := range c.files.files {
		if !isData(f.name) {
			continue
		}
		var node yaml.Node
		if err := yaml.Unmarshal(f.content, &node); err != nil {
			c.complain(f.name, yamlLine(err), "%v", err)
			continue
		}
		if len(node.Content) > 0 {
			c.readBindingFile(b, f.name, node.Content[0])
		}
	}
	return b
}

func (c *checker) readBindingFile(b *bindingFiles, file string, doc *yaml.Node) {
	switch below := strings.Split(path.Dir(file), "/"); {
	case path.Dir(file) == ".":
		eachKey(doc, func(k, v *yaml.Node) {
			if k.Value == "bindings" {
				eachKey(v, func(k, v *yaml.Node) { c.readBinding(b, file, k.Value, k.Line, v) })
			}
		})
	case below[0] != "bindings":
	case len(below) == 1:
		eachKey(doc, func(k, v *yaml.Node) { c.readBinding(b, file, k.Value, k.Line, v) })
	case len(below) == 2:
		c.readBinding(b, file, below[1], doc.Line, doc)
	default:
		c.complain(file, 0, "is too deep: a binding is bindings/NAME/data.yaml")
	}
}

func (c *checker) readBinding(b *bindingFiles, file, name string, line int, doc *yaml.Node) {
	var v any
	if err := doc.Decode(&v); err != nil {
		c.complain(file, yamlLine(err), "%v", err)
		return
	}
	b.values[name] = v
	b.places[name] = position{file, line}
	eachKey(doc, func(k, _ *yaml.Node) { b.places[name+"/"+k.Value] = position{file, k.Line} })
}

func eachKey(n *yaml.Node, f func(k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i], n.Content[i+1])
	}
}

var yamlLineForm = regexp.MustCompile(`line (\d+)`)

// yamlLine digs the line out of an error of the YAML package, which has it in its
// text only.
func yamlLine(err error) int {
	found := yamlLineForm.FindStringSubmatch(err.Error())
	if found == nil {
		return 0
	}
	line := 0
	for _, digit := range found[1] {
		line = line*10 + int(digit-'0')
	}
	return line
}
