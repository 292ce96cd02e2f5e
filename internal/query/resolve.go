package query

import (
	"github.com/sallyport/sallyport/internal/catalog"
)

// A callee is a call of a function as it is written.
type callee struct {
	schema, name string
	args         []value
	names        []string // of the last arguments, which are given by name
	spread       bool     // VARIADIC stands before the last argument
	procedure    bool     // of CALL
}

func inputs(args []value) []catalog.OID {
	types := make([]catalog.OID, len(args))
	for i := range args {
		types[i] = args[i].input()
	}
	return types
}

// input is a value's type as a candidate is chosen by it.
func (v *value) input() catalog.OID {
	if v.typ == 0 && v.known {
		return unknownOID
	}
	return v.typ
}

// A resolution is what a call means. Where the types of all arguments are known it
// is one function or a cast, as PostgreSQL decides (func_get_detail), else
// everything it could be.
type resolution struct {
	candidates []*candidate
	certain    bool
	refused    bool        // no function takes what is given
	cast       catalog.OID // the type it is a cast to
}

func (s *state) resolve(c *callee) resolution {
	types := inputs(c.args)
	raw := s.raw(c)
	if !known(types) {
		if feasible := s.rules().matching(types, raw); len(feasible) > 0 {
			raw = feasible
		}
		return resolution{candidates: raw}
	}
	for _, candidate := range raw {
		if sameTypes(candidate.args, types) {
			return decided(candidate, raw)
		}
	}
	if typ := s.castMeant(c, types); typ != 0 {
		return resolution{certain: true, cast: typ}
	}
	matching := s.rules().matching(types, raw)
	switch len(matching) {
	case 0:
		return resolution{candidates: raw, refused: true}
	case 1:
		return decided(matching[0], raw)
	default:
		if chosen := s.rules().choose(types, matching); chosen != nil {
			return decided(chosen, raw)
		}
		return resolution{candidates: matching} // the server refuses it
	}
}

func decided(chosen *candidate, all []*candidate) resolution {
	if chosen.ambiguous {
		return resolution{candidates: all}
	}
	return resolution{candidates: []*candidate{chosen}, certain: true}
}

// castMeant returns the type that a call of one argument is a cast to: it bears the
// type's name, and needs no function for it.
func (s *state) castMeant(c *callee, types []catalog.OID) catalog.OID {
	if len(types) != 1 || len(c.names) > 0 || c.procedure {
		return 0
	}
	t := s.lookupType(c.schema, c.name)
	if t == nil || t.Relation != 0 {
		return 0
	}
	if types[0] == unknownOID && c.args[0].literal {
		return t.OID
	}
	path, _ := s.rules().pathway(types[0], t.OID, explicit)
	if path == byText && (types[0] == recordOID || s.rules().complex(types[0])) && t.Category == 'S' {
		return 0
	}
	if path == relabel || path == byText {
		return t.OID
	}
	return 0
}

// raw lists the functions of the name that take so many arguments, as
// FuncnameGetCandidates does: of those that take the same, the one whose schema
// comes first.
func (s *state) raw(c *callee) []*candidate {
	schemas := s.path
	if c.schema != "" {
		schemas = []string{c.schema}
	}
	if s.readsAsOrdinary(c.schema, c.name) {
		schemas = s.path
	}
	var list []*candidate
	for position, schema := range schemas {
		if schema == catalog.TemporarySchema && c.schema == "" {
			continue // functions are not looked for among temporary objects
		}
		for _, f := range s.snapshot.Functions(schema, c.name) {
			made := fit(f, c)
			if made == nil {
				continue
			}
			made.position = position
			list = preferred(list, made)
		}
	}
	return list
}

// preferred adds a candidate to a list, of two that take the same the better one.
func preferred(list []*candidate, made *candidate) []*candidate {
	for i, old := range list {
		if !sameTypes(made.args, old.args) {
			continue
		}
		switch {
		case made.position != old.position || made.variadic > 0 && old.variadic == 0:
			return list
		case made.variadic == 0 && old.variadic > 0:
			list[i] = made
		default:
			old.ambiguous = true
		}
		return list
	}
	return append(list, made)
}

// fit matches a call's arguments to a function's parameters, nil when they cannot be.
func fit(f *catalog.Function, c *callee) *candidate {
	args, names := f.Args, f.ArgNames
	if c.procedure && f.Kind == "procedure" {
		args, names = f.CallArgs, f.CallNames
	}
	made := &candidate{function: f, result: f.Result}
	given := len(c.args)
	if len(c.names) > 0 {
		return fitNamed(made, args, names, c)
	}
	spread := f.Variadic && !c.spread && len(args) <= given
	switch {
	case spread:
		made.args = append(append([]catalog.OID(nil), args[:len(args)-1]...), repeated(f.VariadicElem, given-len(args)+1)...)
		made.variadic = given - len(args) + 1
	case len(args) == given:
		made.args = args
	case len(args) > given && given+f.Defaults >= len(args):
		made.args = args[:given:given]
	default:
		return nil
	}
	return made
}

func repeated(typ catalog.OID, n int) []catalog.OID {
	list := make([]catalog.OID, n)
	for i := range list {
		list[i] = typ
	}
	return list
}

// fitNamed is fit of a call that gives arguments by name.
func fitNamed(made *candidate, args []catalog.OID, names []string, c *callee) *candidate {
	f, given, positional := made.function, len(c.args), len(c.args)-len(c.names)
	if f.Variadic && !c.spread || names == nil || len(args) < given || given+f.Defaults < len(args) {
		return nil
	}
	taken := make([]bool, len(args))
	for i := range positional {
		taken[i] = true
		made.args = append(made.args, args[i])
	}
	for _, name := range c.names {
		found := -1
		for i := range args {
			if names[i] == name {
				found = i
				break
			}
		}
		if found < 0 || taken[found] {
			return nil
		}
		taken[found] = true
		made.args = append(made.args, args[found])
	}
	for i := positional; i < len(args); i++ {
		if !taken[i] && i < len(args)-f.Defaults {
			return nil
		}
	}
	return made
}

// readsAsOrdinary reports whether only the parser of 16 has given the function its
// schema.
func (s *state) readsAsOrdinary(schema, name string) bool {
	return name == "json_object" && schema == "pg_catalog" && s.snapshot.ServerVersion < sqlJSONVersion
}

func (s *state) rules() typeRules { return typeRules{s.snapshot} }

// resolveOperator tells which operators an expression may mean: one, where the
// types of the operands are known (oper, left_oper).
func (s *state) resolveOperator(schema, op string, types []catalog.OID) (list []*candidate, certain bool) {
	if known(types) {
		if exact := s.exactOperator(schema, op, types); exact != nil {
			return []*candidate{exact}, true
		}
	}
	all := s.operatorCandidates(schema, op, len(types))
	matching := s.rules().matching(types, all)
	switch {
	case len(matching) == 0:
		return all, false // the server refuses it
	case !known(types):
		return matching, false
	case len(matching) == 1:
		return matching, true
	}
	if chosen := s.rules().choose(types, matching); chosen != nil {
		return []*candidate{chosen}, true
	}
	return matching, false
}

// exactOperator is the operator whose operand types are exactly those given, a
// literal taking the other operand's.
func (s *state) exactOperator(schema, op string, types []catalog.OID) *candidate {
	left, right := catalog.OID(0), types[len(types)-1]
	if len(types) == 2 {
		left = types[0]
	}
	literal := false
	if left == unknownOID {
		left, literal = right, true
	} else if right == unknownOID && left != 0 {
		right, literal = left, true
	}
	if o := s.operatorOf(schema, op, left, right); o != nil || !literal {
		return o
	}
	if base := s.rules().base(right); base != right {
		return s.operatorOf(schema, op, base, base)
	}
	return nil
}

func (s *state) operatorOf(schema, op string, left, right catalog.OID) *candidate {
	var found *catalog.Operator
	position := len(s.path)
	for _, o := range s.snapshot.Operators(op) {
		if o.Left != left || o.Right != right {
			continue
		}
		if schema != "" {
			if o.Schema == schema {
				return operatorCandidate(o, 0)
			}
			continue
		}
		if p := s.pathPosition(o.Schema); p >= 0 && p < position {
			found, position = o, p
		}
	}
	if found == nil {
		return nil
	}
	return operatorCandidate(found, position)
}

func (s *state) pathPosition(schema string) int {
	for i, p := range s.path {
		if p == schema && p != catalog.TemporarySchema {
			return i
		}
	}
	return -1
}

func operatorCandidate(o *catalog.Operator, position int) *candidate {
	c := &candidate{operator: o, result: o.Result, position: position, args: []catalog.OID{o.Left, o.Right}}
	if o.Left == 0 {
		c.args = c.args[1:]
	}
	return c
}

func (s *state) operatorCandidates(schema, op string, operands int) []*candidate {
	var list []*candidate
	for _, o := range s.snapshot.Operators(op) {
		position := 0
		if schema == "" {
			position = s.pathPosition(o.Schema)
		}
		if position < 0 || schema != "" && o.Schema != schema || (o.Left == 0) != (operands == 1) {
			continue
		}
		made := operatorCandidate(o, position)
		better := true
		for i, old := range list {
			if sameTypes(old.args, made.args) {
				better = false
				if made.position < old.position {
					list[i] = made
				}
				break
			}
		}
		if better {
			list = append(list, made)
		}
	}
	return list
}
