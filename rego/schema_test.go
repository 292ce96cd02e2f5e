package rego

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files")

// The schema is made of the types and their comments, so that it cannot say
// anything else than the input does.
func TestInputSchema(t *testing.T) {
	g := schemaGenerator{comments: fieldComments(t, "input.go", "statement.go")}
	root := g.of(reflect.TypeFor[Input]())
	doc := ordered{
		{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"$id", "https://sallyport.dev/schemas/v1/input.json"},
		{"title", "sallyport policy input"},
		{"description", g.comments["Input"]},
	}
	want, err := json.MarshalIndent(append(doc, root...), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	path := filepath.Join("schemas", "input.json")
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s is not what the Go types say: run go generate ./rego", path)
	}
}

// ordered is a JSON object whose keys stay in order.
type ordered []struct {
	key   string
	value any
}

func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(append(append(key, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

type schemaGenerator struct{ comments map[string]string }

func (g schemaGenerator) of(t reflect.Type) ordered {
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem())
	case reflect.String:
		return ordered{{"type", "string"}}
	case reflect.Bool:
		return ordered{{"type", "boolean"}}
	case reflect.Int, reflect.Int64:
		return ordered{{"type", "integer"}}
	case reflect.Float64:
		return ordered{{"type", "number"}}
	case reflect.Map:
		return ordered{{"type", "object"}}
	case reflect.Slice:
		return ordered{{"type", "array"}, {"items", g.of(t.Elem())}}
	case reflect.Struct:
		return g.object(t)
	default:
		panic("no schema for " + t.String())
	}
}

func (g schemaGenerator) object(t reflect.Type) ordered {
	var required []string
	var properties ordered
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if opts != "omitempty" && f.Tag.Get("optional") == "" {
			required = append(required, name)
		}
		properties = append(properties, ordered{{name, g.property(t, f)}}...)
	}
	o := ordered{{"type", "object"}}
	if required != nil {
		o = append(o, ordered{{"required", required}}...)
	}
	return append(o, ordered{{"additionalProperties", false}, {"properties", properties}}...)
}

func (g schemaGenerator) property(in reflect.Type, f reflect.StructField) ordered {
	p := g.of(f.Type)
	enum := f.Tag.Get("enum")
	switch {
	case enum != "" && f.Type.Kind() == reflect.Slice:
		p = ordered{{"type", "array"}, {"items", ordered{{"type", "string"}, {"enum", strings.Split(enum, ",")}}}}
	case enum != "":
		p = append(p, ordered{{"enum", strings.Split(enum, ",")}}...)
	}
	if format := f.Tag.Get("format"); format != "" {
		p = append(p, ordered{{"format", format}}...)
	}
	for _, key := range []string{"const", "minimum", "maximum"} {
		if n, err := strconv.Atoi(f.Tag.Get(key)); err == nil {
			p = append(p, ordered{{key, n}}...)
		}
	}
	comment := g.comments[in.Name()+"."+f.Name]
	if comment == "" {
		elem := f.Type
		for elem.Kind() == reflect.Pointer || elem.Kind() == reflect.Slice {
			elem = elem.Elem()
		}
		if elem.Kind() == reflect.Struct {
			comment = g.comments[elem.Name()]
		}
	}
	if comment != "" {
		p = append(ordered{{"description", comment}}, p...)
	}
	return p
}

// fieldComments maps "Type" and "Type.Field" to what is said of them.
func fieldComments(t *testing.T, files ...string) map[string]string {
	comments := map[string]string{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE {
				continue
			}
			spec := d.Specs[0].(*ast.TypeSpec)
			first, _, _ := strings.Cut(d.Doc.Text(), "\n\n")
			comments[spec.Name.Name] = strings.Join(strings.Fields(first), " ")
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					for _, n := range field.Names {
						comments[spec.Name.Name+"."+n.Name] = strings.TrimSpace(field.Comment.Text())
					}
				}
			}
		}
	}
	return comments
}
