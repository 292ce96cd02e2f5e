package query

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// utility analyses every statement that is not SELECT, INSERT, UPDATE, DELETE or
// MERGE. What has no case here or in ddl.go is unresolved.
func (s *state) utility(node *pg_query.Node) {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_TransactionStmt:
		s.transaction(n.TransactionStmt)
	case *pg_query.Node_ConstraintsSetStmt:
		s.kind("set_constraints", "transaction")
		s.rangeVars(n.ConstraintsSetStmt.Constraints, nil)
	case *pg_query.Node_VariableSetStmt:
		s.variableSet(n.VariableSetStmt)
	case *pg_query.Node_VariableShowStmt:
		s.kind("show", "setting")
	case *pg_query.Node_DiscardStmt:
		s.discard(n.DiscardStmt)
	case *pg_query.Node_DeallocateStmt:
		s.kind("deallocate", "setting")
		s.out.Deallocate = &Deallocate{Name: n.DeallocateStmt.Name, All: n.DeallocateStmt.Name == ""}
	case *pg_query.Node_ExplainStmt:
		s.explain(n.ExplainStmt)
	case *pg_query.Node_CopyStmt:
		s.copy(n.CopyStmt)
	case *pg_query.Node_CallStmt:
		s.callStatement(n.CallStmt)
	case *pg_query.Node_NotifyStmt:
		s.kind("notify", "other")
	case *pg_query.Node_ListenStmt:
		s.kind("listen", "other")
	case *pg_query.Node_UnlistenStmt:
		s.kind("unlisten", "other")
	case *pg_query.Node_LockStmt:
		s.lockTable(n.LockStmt)
	case *pg_query.Node_TruncateStmt:
		s.kind("truncate", "write")
		s.rangeVars(n.TruncateStmt.Relations, []string{"truncate"})
	default:
		if !s.named(node) && !s.refused(node) && !s.maintenance(node) && !s.schemaStatement(node) {
			s.kind("other", "other")
			s.unknownNode(node)
		}
	}
}

// refused handles the kinds that are never forwarded.
func (s *state) refused(node *pg_query.Node) bool {
	switch node.GetNode().(type) {
	case *pg_query.Node_DoStmt:
		s.kind("do", "procedural")
		s.refuse(unsupported("DO is not supported", "sallyport cannot see what the block does. Send its statements one by one."))
	case *pg_query.Node_LoadStmt:
		s.kind("load", "other")
		s.refuse(unsupported("LOAD is not supported", ""))
	case *pg_query.Node_AlterSystemStmt:
		s.kind("alter_system", "maintenance")
		s.refuse(unsupported("ALTER SYSTEM is not supported", "Settings of the server are managed elsewhere."))
	default:
		return false
	}
	return true
}

var transactionKinds = map[pg_query.TransactionStmtKind]string{
	pg_query.TransactionStmtKind_TRANS_STMT_BEGIN:       "begin",
	pg_query.TransactionStmtKind_TRANS_STMT_START:       "begin",
	pg_query.TransactionStmtKind_TRANS_STMT_COMMIT:      "commit",
	pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK:    "rollback",
	pg_query.TransactionStmtKind_TRANS_STMT_SAVEPOINT:   "savepoint",
	pg_query.TransactionStmtKind_TRANS_STMT_RELEASE:     "release",
	pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO: "rollback_to",
}

func (s *state) transaction(st *pg_query.TransactionStmt) {
	kind := transactionKinds[st.Kind]
	if kind == "" {
		s.kind("prepare_transaction", "transaction")
		s.refuse(unsupported("prepared transactions are not supported", "Use COMMIT."))
		return
	}
	s.kind(kind, "transaction")
	s.out.Transaction, s.out.Chain = kind, st.Chain
}

func (s *state) variableSet(st *pg_query.VariableSetStmt) {
	set := &Setting{Name: asciiLower(st.Name), Local: st.IsLocal}
	s.kind("set", "setting")
	switch st.Kind {
	case pg_query.VariableSetKind_VAR_SET_VALUE:
		for _, node := range st.Args {
			text, ok := "", false
			if c := node.GetAConst(); c != nil && !c.Isnull {
				text, ok = constantText(c)
				s.out.Shape.Literals++
			}
			set.Opaque = set.Opaque || !ok
			set.Values = append(set.Values, text)
		}
		if set.Name == "search_path" && !(exactPath(set.Values) && onlyStrings(st.Args)) {
			set.Opaque = true
		}
		if set.Opaque {
			set.Values = nil
		}
	case pg_query.VariableSetKind_VAR_SET_DEFAULT:
		set.Reset = true
	case pg_query.VariableSetKind_VAR_RESET:
		s.kind("reset", "setting")
		set.Reset = true
	case pg_query.VariableSetKind_VAR_RESET_ALL:
		s.kind("reset", "setting")
		set.Name, set.Reset = "all", true
	case pg_query.VariableSetKind_VAR_SET_MULTI: // SET TRANSACTION, SET SESSION CHARACTERISTICS
		s.kind("set_transaction", "transaction")
		return
	default:
		s.unresolved("SET " + st.Kind.String())
	}
	s.setting(set)
}

// onlyStrings reports whether all are names or strings: the server quotes these in
// a list of names, and no numbers.
func onlyStrings(nodes []*pg_query.Node) bool {
	for _, n := range nodes {
		if _, ok := n.GetAConst().GetVal().(*pg_query.A_Const_Sval); !ok {
			return false
		}
	}
	return true
}

func (s *state) discard(st *pg_query.DiscardStmt) {
	s.kind("discard", "setting")
	s.out.Discard = map[pg_query.DiscardMode]string{
		pg_query.DiscardMode_DISCARD_ALL: "all", pg_query.DiscardMode_DISCARD_PLANS: "plans",
		pg_query.DiscardMode_DISCARD_SEQUENCES: "sequences", pg_query.DiscardMode_DISCARD_TEMP: "temporary",
	}[st.Target]
	if s.out.Discard == "" {
		s.unresolved("DISCARD " + st.Target.String())
	}
}

// explain analyses what is explained. Only ANALYZE runs it.
func (s *state) explain(st *pg_query.ExplainStmt) {
	explain := &Explain{}
	for _, node := range st.Options {
		option := node.GetDefElem()
		if strings.EqualFold(option.GetDefname(), "analyze") && truth(option.Arg) {
			explain.Analyze = true
		}
		if strings.EqualFold(option.GetDefname(), "wal") && truth(option.Arg) {
			s.refuse(unsupported("EXPLAIN (WAL) is not supported", "How much is written tells how alike old and new values are."))
		}
	}
	s.nested = true
	s.statement(st.Query)
	class := "read"
	if explain.Analyze {
		class = s.out.Shape.Class
	} else {
		s.out.Schema = false
	}
	s.kind("explain", class)
	s.out.Shape.Explain = explain
}

// truth is an option's value: what is not plainly off may be on.
func truth(arg *pg_query.Node) bool {
	if n := arg.GetInteger(); n != nil {
		return n.Ival != 0
	}
	switch asciiLower(arg.GetString_().GetSval()) {
	case "off", "false", "no", "0":
		return false
	}
	if b, ok := arg.GetNode().(*pg_query.Node_Boolean); ok {
		return b.Boolean.Boolval
	}
	return true
}

func (s *state) callStatement(st *pg_query.CallStmt) {
	s.kind("call", "procedural")
	s.out.Schema = true
	if st.Funccall == nil {
		s.unresolved("CALL")
		return
	}
	s.calling = true
	s.use(s.call(st.Funccall, nil), derived)
}

var lockModes = map[int32]string{
	1: "access share", 2: "row share", 3: "row exclusive", 4: "share update exclusive", 5: "share",
	6: "share row exclusive", 7: "exclusive", 8: "access exclusive",
}

func (s *state) lockTable(st *pg_query.LockStmt) {
	s.kind("lock", "other")
	mode := lockModes[st.Mode]
	if mode == "" {
		s.unresolved("lock mode")
	}
	s.lock(mode)
	s.rangeVars(st.Relations, []string{"lock"})
}

// rangeVars lists relations that a utility statement names.
func (s *state) rangeVars(list []*pg_query.Node, access []string) {
	for _, node := range list {
		rv := node.GetRangeVar()
		if rv == nil {
			s.unknownNode(node)
			continue
		}
		if access != nil {
			s.touchNamed(rv, access...)
		}
	}
}

func (s *state) touchNamed(rv *pg_query.RangeVar, access ...string) *catalog.Relation {
	if rv == nil {
		return nil
	}
	r := s.findRelation(rv.Catalogname, rv.Schemaname, rv.Relname)
	if r == nil {
		s.unresolved("relation " + quoted(rv.Catalogname, rv.Schemaname, rv.Relname))
		return nil
	}
	s.touchRows(r, !rv.Inh, access...)
	return r
}
