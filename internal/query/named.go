package query

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// cursorHold is CURSOR_OPT_HOLD of PostgreSQL's parsenodes.h.
const cursorHold = 0x20

// named handles cursors and statements prepared by SQL.
func (s *state) named(node *pg_query.Node) bool {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_DeclareCursorStmt:
		st := n.DeclareCursorStmt
		s.held("declare", st.Portalname, st.Query)
		s.out.Named.Hold = st.Options&cursorHold != 0
	case *pg_query.Node_PrepareStmt:
		s.prepare(n.PrepareStmt)
	case *pg_query.Node_ExecuteStmt:
		s.kind("execute", "other")
		s.name("execute", n.ExecuteStmt.Name)
		for _, arg := range n.ExecuteStmt.Params {
			s.use(s.expression(arg, nil), derived)
		}
	case *pg_query.Node_FetchStmt:
		command := "fetch"
		if n.FetchStmt.Ismove {
			command = "move"
		}
		s.kind(command, "read")
		s.name(command, n.FetchStmt.Portalname)
	case *pg_query.Node_ClosePortalStmt:
		s.kind("close", "other")
		s.name("close", n.ClosePortalStmt.Portalname)
	default:
		return false
	}
	return true
}

// checkArguments refuses EXECUTE with arguments that read tables, by functions: it
// runs as it was written, without masks.
func (s *state) checkArguments() {
	if n := s.out.Named; n != nil && n.Command == "execute" && len(s.tables) > 0 {
		s.refuse(unsupported("EXECUTE with arguments that read tables is not supported", "Give it the values themselves, or write its query out."))
	}
}

// name notes what the statement does, unless another one only speaks of it.
func (s *state) name(command, name string) {
	s.out.Named = &Named{Command: command, Name: name}
	if s.nested {
		s.refuse(unsupported(strings.ToUpper(command)+" inside of another statement is not supported", "Send it alone, or write its query out."))
	}
}

// held analyses the query that a name will stand for.
func (s *state) held(command, name string, query *pg_query.Node) {
	s.name(command, name)
	s.nested = true
	s.statement(query)
	s.out.Shape.Command = command
}

func (s *state) prepare(st *pg_query.PrepareStmt) {
	s.env.ParamTypes = nil
	for _, node := range st.Argtypes {
		s.env.ParamTypes = append(s.env.ParamTypes, s.findType(node.GetTypeName()))
	}
	s.held("prepare", st.Name, st.Query)
}
