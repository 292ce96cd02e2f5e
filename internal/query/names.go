package query

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// effectivePath is the list of schemas in which names without a schema are looked
// up: relations and types of the session's own temporary schema before all others,
// unless the path says where.
func effectivePath(snapshot *catalog.Snapshot, env Env) []string {
	var path []string
	implied, temporary := true, snapshot.HasSchema(catalog.TemporarySchema)
	for _, schema := range env.SearchPath {
		if schema == "$user" {
			schema = env.User
		}
		if schema == "" || !snapshot.HasSchema(schema) || slices.Contains(env.Unusable, schema) {
			continue
		}
		if schema == "pg_catalog" {
			implied = false
		}
		if schema == catalog.TemporarySchema {
			temporary = false
		}
		path = append(path, schema)
	}
	if implied {
		path = append([]string{"pg_catalog"}, path...)
	}
	if temporary {
		path = append([]string{catalog.TemporarySchema}, path...)
	}
	return path
}

// names returns the strings of a list of String nodes; ok is false when there is
// something else among them.
func names(nodes []*pg_query.Node) (list []string, ok bool) {
	for _, n := range nodes {
		s, isString := n.Node.(*pg_query.Node_String_)
		if !isString {
			return nil, false
		}
		list = append(list, s.String_.Sval)
	}
	return list, true
}

// quoted writes a possibly qualified name for a message, as PostgreSQL does.
func quoted(parts ...string) string {
	kept := make([]string, 0, len(parts))
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return `"` + strings.Join(kept, ".") + `"`
}

// findRelation returns the relation a name means, or nil.
func (s *state) findRelation(database, schema, name string) *catalog.Relation {
	if database != "" && database != s.snapshot.Database {
		return nil
	}
	if schema != "" {
		return s.snapshot.Relation(schema, name)
	}
	for _, schema := range s.path {
		if r := s.snapshot.Relation(schema, name); r != nil {
			return r
		}
	}
	return nil
}

// splitName splits [database.][schema.]name.
func splitName(parts []string) (database, schema, name string, ok bool) {
	switch len(parts) {
	case 1:
		return "", "", parts[0], true
	case 2:
		return "", parts[0], parts[1], true
	case 3:
		return parts[0], parts[1], parts[2], true
	default:
		return "", "", "", false
	}
}

// findType returns the type a TypeName means, and lists it as unresolved when
// there is none, or none whose meaning is known.
func (s *state) findType(t *pg_query.TypeName) catalog.OID {
	if t == nil {
		return 0
	}
	for _, mod := range t.Typmods {
		s.expression(mod, nil)
	}
	parts, ok := names(t.Names)
	database, schema, name, split := splitName(parts)
	if !ok || !split || t.PctType || database != "" && database != s.snapshot.Database {
		s.unresolved("type " + quoted(parts...))
		return 0
	}
	typ := s.lookupType(schema, name)
	if typ == nil {
		s.unresolved("type " + quoted(parts...))
		return 0
	}
	s.seenType(typ.OID)
	if len(t.ArrayBounds) > 0 {
		array := s.snapshot.ArrayOf(typ.OID)
		if array == 0 {
			s.unresolved("type " + quoted(parts...) + "[]")
		}
		return array
	}
	return typ.OID
}

func (s *state) lookupType(schema, name string) *catalog.Type {
	if schema != "" {
		return s.snapshot.Type(schema, name)
	}
	for _, schema := range s.path {
		if t := s.snapshot.Type(schema, name); t != nil {
			return t
		}
	}
	return nil
}

// seenType remembers the types that take part: user-defined casts between them
// may run without being written.
func (s *state) seenType(oid catalog.OID) {
	if oid == 0 || len(s.snapshot.UserCasts()) == 0 && !s.snapshot.UserCompares() {
		return
	}
	if s.types == nil {
		s.types = map[catalog.OID]bool{}
	}
	if s.types[oid] {
		return
	}
	s.types[oid] = true
	t := s.snapshot.TypeByOID(oid)
	if t == nil {
		return
	}
	s.seenType(t.Base)
	s.seenType(t.Elem)
	if r := s.snapshot.RelationByOID(t.Relation); r != nil {
		for _, c := range r.Columns {
			s.seenType(c.Type)
		}
	}
}

// impliedCasts lists the functions of user-defined casts that PostgreSQL may
// apply by itself, where it is not known to which values. Types of PostgreSQL's own, which literals have too, are taken
// to be part of every statement.
func (s *state) impliedCasts() {
	if s.unsureCompares {
		s.everyCompare()
	}
	if !s.unsure {
		return
	}
	for _, cast := range s.snapshot.UserCasts() {
		if (cast.Implicit || cast.Assignment) && s.takesPart(cast.Source) && s.takesPart(cast.Target) {
			s.addFunction(s.snapshot.FunctionByOID(cast.Function))
		}
	}
}

func (s *state) takesPart(oid catalog.OID) bool { return !oid.User() || s.types[oid] }

// castTo lists what a cast to the type may run.
func (s *state) castTo(target catalog.OID) {
	for _, cast := range s.snapshot.UserCasts() {
		if cast.Target == target {
			s.addFunction(s.snapshot.FunctionByOID(cast.Function))
		}
	}
	s.constraints(target)
}

// operator lists the functions of operators outside pg_catalog that the name may
// mean for these operands, and returns the result's type when it is certain.
func (s *state) operator(name []*pg_query.Node, left, right *value) catalog.OID {
	schema, op, ok := s.operatorName(name)
	if !ok {
		return 0
	}
	return s.operatorNamed(schema, op, left, right)
}

func (s *state) operatorName(name []*pg_query.Node) (schema, op string, ok bool) {
	parts, ok := names(name)
	if !ok || len(parts) == 0 {
		s.unresolved("operator")
		return "", "", false
	}
	_, schema, op, ok = splitName(parts)
	if !ok {
		s.unresolved("operator " + quoted(parts...))
	}
	return schema, op, ok
}

func (s *state) operatorNamed(schema, op string, left, right *value) catalog.OID {
	return s.operation(schema, op, left, right).typ
}

// An operation is what an operator makes.
type operation struct {
	typ  catalog.OID // of its result
	left catalog.OID // of its left operand, as it takes it
}

func (s *state) operation(schema, op string, left, right *value) operation {
	operands := []*value{left, right}
	if left == nil {
		operands = operands[1:]
	}
	types := make([]catalog.OID, len(operands))
	for i, v := range operands {
		types[i] = v.input()
	}
	list, certain := s.resolveOperator(schema, op, types)
	if len(list) == 0 {
		s.unresolved("operator " + op)
		return operation{}
	}
	if !certain {
		s.unsure = true
	}
	s.operations++
	if !certain || !s.leakproof(list[0], operands) {
		s.leaks++
	}
	var out operation
	for i, c := range list {
		g, _ := s.rules().gather(types, c.args)
		s.rules().settle(&g)
		for j, declared := range c.args {
			if certain {
				s.coerce(operands[j], s.rules().stands(&g, declared), implicit)
			}
			s.compares(*operands[j])
		}
		if c.operator.Schema != "pg_catalog" {
			s.addFunction(s.snapshot.FunctionByOID(c.operator.Function))
			s.seenType(c.operator.Left)
			s.seenType(c.operator.Right)
			s.seenType(c.result)
		}
		made := operation{typ: s.rules().stands(&g, c.result), left: s.rules().stands(&g, c.args[0])}
		if i == 0 {
			out = made
		}
		if made.typ != out.typ {
			out.typ = 0
		}
		if made.left != out.left {
			out.left = 0
		}
	}
	if polymorphic(out.typ) || out.typ == anyOID {
		out.typ = 0
	}
	return out
}

// leakproof reports whether an operator tells nothing of its operands but by its
// result, with what is done to them before.
func (s *state) leakproof(c *candidate, operands []*value) bool {
	f := s.snapshot.FunctionByOID(c.operator.Function)
	if c.operator.Schema != "pg_catalog" || f == nil || !f.Leakproof || len(c.args) != len(operands) {
		return false
	}
	for i, v := range operands {
		relabelled := v.typ == c.args[i] || v.typ == 0 && v.known || slices.Contains(texts, v.typ) && slices.Contains(texts, c.args[i])
		if !relabelled {
			return false
		}
	}
	return true
}

// texts are the types of text, whose casts to each other cannot fail.
var texts = []catalog.OID{textOID, varcharOID, bpcharOID, nameOID}

// visible reports whether something in a schema is what a name given with schema,
// or without, can mean.
func (s *state) visible(given, schema string) bool {
	if given != "" {
		return given == schema
	}
	for _, p := range s.path {
		if p == schema {
			return true
		}
	}
	return false
}
