package query

import (
	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
)

// copy analyses COPY. Only the client's end of it may be a file.
func (s *state) copy(st *pg_query.CopyStmt) {
	s.kind("copy", "read")
	if st.IsFrom {
		s.kind("copy", "write")
	}
	if st.IsProgram || st.Filename != "" {
		s.refuse(unsupported("COPY from or to the server's files and programs is not supported",
			"Use COPY … FROM STDIN or COPY … TO STDOUT."))
		return
	}
	s.out.Copy = CopyOut
	if st.IsFrom {
		s.out.Copy = CopyIn
	}
	switch {
	case st.Query != nil:
		s.copyQuery(st.Query)
	case st.Relation == nil:
		s.unresolved("COPY")
	case st.IsFrom:
		s.copyIn(st)
	default:
		s.copyOut(st)
	}
}

func (s *state) copyQuery(node *pg_query.Node) {
	s.nested = true
	s.statement(node)
	class := s.out.Shape.Class
	s.kind("copy", class)
}

func (s *state) copyIn(st *pg_query.CopyStmt) {
	target := s.target(st, st.Relation, "insert")
	target.quiet = true // its columns are the rows that come in
	columns := s.copied(st, target)
	for _, name := range columns {
		s.write(target, name)
	}
	if st.WhereClause != nil {
		sc := &scope{}
		sc.add(whole(target))
		s.use(s.expression(st.WhereClause, sc), filtered)
	}
}

func (s *state) copyOut(st *pg_query.CopyStmt) {
	r := s.touchNamed(st.Relation, "read")
	if r == nil {
		return
	}
	scan := &Scan{Node: st.Relation, Relation: r, columns: map[*catalog.Column]bool{}, Lineage: s.lineage(r)}
	s.out.Scans = append(s.out.Scans, scan)
	e := &rangeEntry{scan: scan, base: r, columns: relationColumns(r), alias: r.Name}
	for _, name := range s.copied(st, e) {
		i := e.find(name)
		if i < 0 {
			s.unresolved("column " + quoted(name) + " of " + quoted(r.Name))
			continue
		}
		s.mark(s.column(e, i), projected)
		scan.Copied = append(scan.Copied, e.columns[i].col)
	}
}

// copied lists the columns that COPY is about: those named, else all but generated
// ones.
func (s *state) copied(st *pg_query.CopyStmt, e *rangeEntry) []string {
	if columns, ok := names(st.Attlist); !ok {
		s.unresolved("columns of COPY")
	} else if len(columns) > 0 {
		return columns
	}
	columns := make([]string, 0, len(e.columns))
	for _, c := range e.columns {
		if c.col == nil || !c.col.Generated {
			columns = append(columns, c.name)
		}
	}
	return columns
}
