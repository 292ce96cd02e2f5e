package query

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	pg_query "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// treePlan says how a message is written in JSON. It is made of the descriptors of
// the very types that pg_query.Parse returns.
type treePlan struct {
	typ     reflect.Type
	fields  []treeField          // in the parser's order
	inner   []int                // fields that hold messages
	members map[string]int       // of a Node: fields by name
	types   map[reflect.Type]int // of a Node: fields by the type of their wrapper
	one     int                  // of a Node: where the wrapper is in the Go struct
}

type treeField struct {
	name    string
	kind    treeKind
	index   int // in the Go struct
	message *treePlan
	enum    map[string]int32
	wrapper reflect.Type // of a member of a one-of
	pointer reflect.Type // to the wrapper
	whole   reflect.Type // of a member of a Node: node, wrapper and message in one piece
	place   bool         // a place in the text
	bounds  bool         // the bounds of an array's type
}

type treeKind int

const (
	treeOther treeKind = iota // not read: trees of statements have none
	treeString
	treeBool
	treeInt
	treeUint
	treeEnum
	treeMessage
	treeNode
	treeNodes
	treeMessages
)

var (
	nodeType   = reflect.TypeFor[*pg_query.Node]()
	nodesType  = reflect.TypeFor[[]*pg_query.Node]()
	aConstType = reflect.TypeFor[pg_query.A_Const]()

	typeNameType = reflect.TypeFor[pg_query.TypeName]()
)

// resultPlan is the plan of all that the parser returns.
var resultPlan = sync.OnceValue(func() *treePlan {
	plans := treePlans{}
	return plans.of(reflect.TypeFor[pg_query.ParseResult]())
})

// statementPlan is that of a RawStmt, nodePlan of a Node.
func statementPlan() *treePlan { return resultPlan().fields[1].message }
func nodePlan() *treePlan      { return statementPlan().fields[0].message }

type treePlans map[reflect.Type]*treePlan

func (plans treePlans) of(typ reflect.Type) *treePlan {
	if known := plans[typ]; known != nil {
		return known
	}
	p := &treePlan{typ: typ}
	plans[typ] = p
	sample, ok := reflect.New(typ).Interface().(protoreflect.ProtoMessage)
	if !ok {
		return p // of no fields: whatever it holds is not read
	}
	m := sample.ProtoReflect()
	if typ == nodeType.Elem() {
		p.members, p.types = map[string]int{}, map[reflect.Type]int{}
	}
	for i := range m.Descriptor().Fields().Len() {
		d := m.Descriptor().Fields().Get(i)
		f := plans.field(m, typ, d)
		if p.members != nil {
			p.members[f.name], p.types[f.wrapper], p.one = len(p.fields), len(p.fields), f.index
		}
		if f.kind >= treeMessage {
			p.inner = append(p.inner, len(p.fields))
		}
		p.fields = append(p.fields, f)
	}
	return p
}

func (plans treePlans) field(m protoreflect.Message, typ reflect.Type, d protoreflect.FieldDescriptor) treeField {
	f := treeField{name: d.JSONName()}
	if d.ContainingOneof() != nil && d.Message() != nil {
		return plans.member(m, typ, d, f)
	}
	number := strconv.Itoa(int(d.Number()))
	for i := range typ.NumField() {
		field := typ.Field(i)
		if tag := strings.Split(field.Tag.Get("protobuf"), ","); len(tag) < 2 || tag[1] != number {
			continue
		}
		f.index = i
		f.place = isPlace(field)
		f.bounds = typ == typeNameType && field.Name == "ArrayBounds"
		plans.kind(&f, field.Type, d)
	}
	return f
}

// isPlace reports whether a field is a place in the text, and no part of what the
// text means.
func isPlace(f reflect.StructField) bool {
	return f.Type.Kind() == reflect.Int32 && (f.Name == "Location" || f.Name == "StmtLocation" || f.Name == "StmtLen")
}

func (plans treePlans) kind(f *treeField, typ reflect.Type, d protoreflect.FieldDescriptor) {
	switch {
	case typ == nodeType:
		f.kind, f.message = treeNode, plans.of(typ.Elem())
	case typ == nodesType:
		f.kind, f.message = treeNodes, plans.of(typ.Elem().Elem())
	case d.IsList() && d.Message() != nil:
		f.kind, f.message = treeMessages, plans.of(typ.Elem().Elem())
	case d.IsList():
		f.kind = treeOther
	case d.Message() != nil:
		f.kind, f.message = treeMessage, plans.of(typ.Elem())
	case d.Enum() != nil:
		f.kind, f.enum = treeEnum, map[string]int32{}
		for i := range d.Enum().Values().Len() {
			v := d.Enum().Values().Get(i)
			f.enum[string(v.Name())] = int32(v.Number())
		}
	default:
		f.kind = treeScalars[typ.Kind()]
	}
}

var treeScalars = map[reflect.Kind]treeKind{
	reflect.String: treeString, reflect.Bool: treeBool,
	reflect.Int32: treeInt, reflect.Int64: treeInt, reflect.Uint32: treeUint, reflect.Uint64: treeUint,
}

// member plans a member of a one-of. The wrapper's type is known to protobuf only:
// it is asked for one.
func (plans treePlans) member(m protoreflect.Message, typ reflect.Type, d protoreflect.FieldDescriptor, f treeField) treeField {
	made := m.New()
	made.Mutable(d)
	v := reflect.ValueOf(made.Interface()).Elem()
	for i := range typ.NumField() {
		if typ.Field(i).Type.Kind() != reflect.Interface || !typ.Field(i).IsExported() || v.Field(i).IsNil() {
			continue
		}
		f.index = i
		f.pointer = v.Field(i).Elem().Type()
		f.wrapper = f.pointer.Elem()
		message := f.wrapper.Field(0).Type.Elem()
		f.kind, f.message = treeMessage, plans.of(message)
		if typ == nodeType.Elem() {
			f.whole = reflect.StructOf([]reflect.StructField{
				{Name: "Node", Type: typ}, {Name: "Wrapper", Type: f.wrapper}, {Name: "Message", Type: message}})
		}
	}
	return f
}
