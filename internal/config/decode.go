package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder fills Go structs from a YAML tree. It is stricter than the YAML
// library: it goes on after a complaint, knows the line of everything, takes no
// value of one kind for another, and expands references before it converts.
type decoder struct {
	file       string
	dir        string         // relative paths in references start here
	lines      map[string]int // where each value stands, by path
	complaints Complaints
}

// defaulter is implemented by a struct whose absent fields mean something.
type defaulter interface{ setDefaults() }

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
)

func (d *decoder) complain(line int, format string, args ...any) {
	d.complaints = append(d.complaints, Complaint{File: d.file, Line: line, Message: fmt.Sprintf(format, args...)})
}

// decode puts the tree below node into target, whose place in the file is path.
func (d *decoder) decode(node *yaml.Node, target reflect.Value, path string) {
	d.lines[path] = node.Line
	if node.Kind == yaml.AliasNode || node.Anchor != "" {
		d.complain(node.Line, "anchors and aliases are not read: write the value out")
		return
	}
	if target.CanAddr() {
		if with, ok := target.Addr().Interface().(defaulter); ok {
			with.setDefaults()
		}
	}
	if isNull(node) {
		return // a key without a value leaves the default
	}
	switch {
	case target.Type() == secretType || target.Type() == durationType:
		d.scalar(node, target, path)
	case target.Kind() == reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		d.decode(node, target.Elem(), path)
	case target.Kind() == reflect.Struct:
		d.structure(node, target, path)
	case target.Kind() == reflect.Slice:
		d.list(node, target, path)
	case target.Kind() == reflect.Map:
		d.mapping(node, target, path)
	default:
		d.scalar(node, target, path)
	}
}

func (d *decoder) structure(node *yaml.Node, target reflect.Value, path string) {
	if node.Kind != yaml.MappingNode {
		d.complain(node.Line, "%s must be a mapping of keys to values, not %s", label(path), kindOf(node))
		return
	}
	fields := map[string]reflect.Value{}
	known := gatherFields(target, fields, nil)
	d.eachKey(node, func(key, value *yaml.Node) {
		field, ok := fields[key.Value]
		if !ok {
			d.complain(key.Line, "unknown key %q%s%s", key.Value, within(path), meant(key.Value, known))
			return
		}
		d.decode(value, field, join(path, key.Value))
		d.lines[join(path, key.Value)] = key.Line
	})
}

func (d *decoder) mapping(node *yaml.Node, target reflect.Value, path string) {
	if node.Kind != yaml.MappingNode {
		d.complain(node.Line, "%s must be a mapping of keys to values, not %s", label(path), kindOf(node))
		return
	}
	if target.Type().Key().Kind() != reflect.String {
		panic(fmt.Sprintf("config: %s has keys that are not strings", target.Type()))
	}
	target.Set(reflect.MakeMap(target.Type()))
	d.eachKey(node, func(key, value *yaml.Node) {
		element := reflect.New(target.Type().Elem()).Elem()
		d.decode(value, element, join(path, key.Value))
		target.SetMapIndex(reflect.ValueOf(key.Value).Convert(target.Type().Key()), element)
	})
}

// eachKey calls visit for each key of a mapping, once.
func (d *decoder) eachKey(node *yaml.Node, visit func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.complain(key.Line, "a key must be a word")
			continue
		}
		if first, twice := seen[key.Value]; twice {
			d.complain(key.Line, "key %q is given twice, first in line %d", key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		visit(key, value)
	}
}

func (d *decoder) list(node *yaml.Node, target reflect.Value, path string) {
	if node.Kind != yaml.SequenceNode {
		d.complain(node.Line, "%s must be a list, not %s: write each entry after a dash", label(path), kindOf(node))
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(node.Content), len(node.Content)))
	for i, entry := range node.Content {
		d.decode(entry, target.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *decoder) scalar(node *yaml.Node, target reflect.Value, path string) {
	if node.Kind != yaml.ScalarNode {
		d.complain(node.Line, "%s must be a single value, not %s", label(path), kindOf(node))
		return
	}
	value, expanded, err := expand(node.Value, d.dir)
	if err != nil {
		d.complain(node.Line, "%s: %v", label(path), err)
		return
	}
	shown := strconv.Quote(value)
	if expanded || target.Type() == secretType {
		shown = redacted
	}
	if problem := setScalar(target, value, node, expanded); problem != "" {
		d.complain(node.Line, "%s: %s %s", label(path), shown, problem)
	}
}

// setScalar converts one value; what it returns completes the sentence that
// begins with the value.
func setScalar(target reflect.Value, value string, node *yaml.Node, expanded bool) string {
	switch {
	case target.Type() == secretType:
		target.Set(reflect.ValueOf(NewSecret(value)))
		return ""
	case target.Type() == durationType:
		span, err := time.ParseDuration(value)
		if err != nil {
			return "is not a duration: write a number with a unit, as in 90s, 30m or 8h"
		}
		target.SetInt(int64(span))
		return ""
	}
	switch target.Kind() {
	case reflect.String:
		target.SetString(value)
	case reflect.Bool:
		if value != "true" && value != "false" {
			return "is neither true nor false"
		}
		target.SetBool(value == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		number, err := strconv.ParseInt(value, 10, target.Type().Bits())
		if err != nil {
			return "is not a whole number that fits here"
		}
		target.SetInt(number)
	case reflect.Float32, reflect.Float64:
		number, err := strconv.ParseFloat(value, target.Type().Bits())
		if err != nil {
			return "is not a number"
		}
		target.SetFloat(number)
	default:
		panic(fmt.Sprintf("config: %s cannot be read from YAML", target.Type()))
	}
	if !expanded && target.Kind() != reflect.String && node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		return "is quoted, and so a text: write it without quotes"
	}
	return ""
}

// gatherFields lists the keys of a struct, those of inlined structs included.
func gatherFields(target reflect.Value, fields map[string]reflect.Value, known []string) []string {
	for i := range target.NumField() {
		field := target.Type().Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case !field.IsExported() || key == "-" || field.Type.Kind() == reflect.Func || field.Type.Kind() == reflect.Interface:
			continue // set by code, such as a clock
		case strings.Contains(options, "inline"):
			known = gatherFields(target.Field(i), fields, known)
			continue
		case key == "":
			continue // no tag: not a setting
		}
		fields[key] = target.Field(i)
		known = append(known, key)
	}
	return known
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		return "a single value"
	default:
		return "an alias"
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func label(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func within(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}
