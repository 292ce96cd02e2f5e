package query

import (
	"strconv"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// tail analyses what follows VALUES or a set operation: ORDER BY, LIMIT, OFFSET, FOR
// UPDATE.
func (s *state) tail(st *pg_query.SelectStmt, sc *scope, outputs []output) {
	s.sorting(st, sc, outputs)
	s.limits(st, sc)
}

func (s *state) sorting(st *pg_query.SelectStmt, sc *scope, outputs []output) {
	for _, node := range st.SortClause {
		sort := node.GetSortBy()
		if sort == nil {
			s.unknownNode(node)
			continue
		}
		v := s.outputOrExpression(sort.Node, sc, outputs, false)
		s.use(v, ordered)
		s.sortOperator(sort, v)
	}
}

func (s *state) limits(st *pg_query.SelectStmt, sc *scope) {
	for _, node := range []*pg_query.Node{st.LimitOffset, st.LimitCount} {
		if node != nil {
			v := s.expression(node, sc)
			s.coerce(&v, int8OID, assignment)
			s.use(v, derived)
		}
	}
	for _, node := range st.LockingClause {
		s.locking(node.GetLockingClause(), sc)
	}
}

func (s *state) sortOperator(sort *pg_query.SortBy, v value) {
	v = s.sorted(v)
	if len(sort.UseOp) > 0 {
		s.operator(sort.UseOp, &v, &v)
	}
}

// sorted is a value as it is sorted or grouped: as text if it has no type.
func (s *state) sorted(v value) value {
	if v.known {
		s.coerce(&v, textOID, implicit)
		v = v.settled()
	}
	s.compares(v)
	return v
}

// outputOrExpression gives what an item of ORDER BY, GROUP BY or DISTINCT ON
// means: a number is a position and a bare name an output column, which under
// GROUP BY yields to a column of FROM. Everything else is an expression.
func (s *state) outputOrExpression(node *pg_query.Node, sc *scope, outputs []output, columnFirst bool) value {
	if o := s.outputMeant(node, sc, outputs, columnFirst); o != nil {
		return o.value
	}
	return s.expression(node, sc)
}

func (s *state) outputMeant(node *pg_query.Node, sc *scope, outputs []output, columnFirst bool) *output {
	if constant := node.GetAConst(); constant != nil {
		if ival := constant.GetIval(); ival != nil && ival.Ival >= 1 && int(ival.Ival) <= len(outputs) {
			return &outputs[ival.Ival-1]
		}
		return nil
	}
	ref := node.GetColumnRef()
	if ref == nil || len(ref.Fields) != 1 || ref.Fields[0].GetString_() == nil {
		return nil
	}
	name := ref.Fields[0].GetString_().Sval
	if columnFirst {
		level := &scope{entries: sc.entries, columns: sc.columns}
		if column, ambiguous := level.findColumn(name); column != nil || ambiguous {
			return nil
		}
	}
	var found *output
	for i := range outputs {
		if outputs[i].name != name {
			continue
		}
		if found != nil { // PostgreSQL insists that they are equal
			found = &output{name: name, value: value{typ: found.value.typ,
				edges: append(append([]edge(nil), found.value.edges...), outputs[i].value.edges...)}}
			continue
		}
		found = &outputs[i]
	}
	return found
}

func (s *state) distinct(clause []*pg_query.Node, sc *scope, outputs []output) {
	if len(clause) == 0 {
		return
	}
	on := false
	for _, node := range clause {
		if node.GetNode() == nil { // plain DISTINCT is a list of nothing
			continue
		}
		on = true
		s.use(s.sorted(s.outputOrExpression(node, sc, outputs, false)), grouped)
	}
	if !on {
		for _, o := range outputs {
			s.use(s.sorted(o.value), grouped)
		}
	}
}

// window analyses OVER (…) or a WINDOW clause's definition.
func (s *state) window(def *pg_query.WindowDef, sc *scope) {
	if def == nil {
		return
	}
	for _, node := range def.PartitionClause {
		s.use(s.sorted(s.expression(node, sc)), grouped)
	}
	for _, node := range def.OrderClause {
		if sort := node.GetSortBy(); sort != nil {
			v := s.expression(sort.Node, sc)
			s.use(v, ordered)
			s.sortOperator(sort, v)
		} else {
			s.unknownNode(node)
		}
	}
	for _, node := range []*pg_query.Node{def.StartOffset, def.EndOffset} {
		if node == nil {
			continue
		}
		v := s.expression(node, sc)
		if def.FrameOptions&frameRange == 0 {
			s.coerce(&v, int8OID, assignment)
		} else { // what the operator class of the ORDER BY says
			s.unsure = true
		}
		s.use(v, derived)
	}
}

const frameRange = 2 // FRAMEOPTION_RANGE

var lockNames = map[pg_query.LockClauseStrength]string{
	pg_query.LockClauseStrength_LCS_FORKEYSHARE:    "for key share",
	pg_query.LockClauseStrength_LCS_FORSHARE:       "for share",
	pg_query.LockClauseStrength_LCS_FORNOKEYUPDATE: "for no key update",
	pg_query.LockClauseStrength_LCS_FORUPDATE:      "for update",
}

// locking analyses FOR UPDATE and its like. It reaches into subqueries of FROM.
func (s *state) locking(clause *pg_query.LockingClause, sc *scope) {
	name := lockNames[clause.GetStrength()]
	if name == "" {
		s.unresolved("locking clause")
		return
	}
	s.lock(name)
	if len(clause.LockedRels) == 0 {
		for _, e := range sc.entries {
			s.lockEntry(e)
		}
		return
	}
	for _, node := range clause.LockedRels {
		rv := node.GetRangeVar()
		var e *rangeEntry
		for _, candidate := range sc.entries {
			if rv != nil && rv.Schemaname == "" && candidate.alias == rv.Relname {
				e = candidate
			}
		}
		if e == nil {
			s.unresolved("relation " + quoted(rv.GetRelname()) + " of FOR UPDATE")
			continue
		}
		s.lockEntry(e)
	}
}

func (s *state) lockEntry(e *rangeEntry) {
	scans := e.within
	if e.scan != nil {
		scans = []*Scan{e.scan}
	}
	for _, scan := range scans {
		scan.Locked = true
		s.touchRows(scan.Relation, !scan.Node.Inh, "lock")
	}
}

func (s *state) lock(name string) {
	if !contains(s.out.Shape.Locks, name) {
		s.out.Shape.Locks = append(s.out.Shape.Locks, name)
	}
}

func columnNumber(i int) string { return "column" + strconv.Itoa(i+1) }

// literalLimit is the number of a literal LIMIT.
func literalLimit(st *pg_query.SelectStmt) *int64 {
	constant := st.LimitCount.GetAConst()
	if constant == nil || constant.Isnull {
		return nil
	}
	if ival := constant.GetIval(); ival != nil {
		n := int64(ival.Ival)
		return &n
	}
	if fval := constant.GetFval(); fval != nil {
		if n, err := strconv.ParseInt(fval.Fval, 10, 64); err == nil {
			return &n
		}
	}
	if _, isInt := constant.Val.(*pg_query.A_Const_Ival); isInt { // proto drops a zero
		n := int64(0)
		return &n
	}
	return nil
}

const (
	float4OID  = catalog.OID(700)
	float8OID  = catalog.OID(701)
	boolOID    = catalog.OID(16)
	int8OID    = catalog.OID(20)
	int4OID    = catalog.OID(23)
	textOID    = catalog.OID(25)
	bpcharOID  = catalog.OID(1042)
	nameOID    = catalog.OID(19)
	bitOID     = catalog.OID(1560)
	floatOID   = catalog.OID(1700) // a literal with a point is numeric
	varcharOID = catalog.OID(1043)
	recordOID  = catalog.OID(2249)
)
