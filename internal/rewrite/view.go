package rewrite

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// A view over masked columns is seen through: its definition stands in its place,
// with masks at its own scans, so that what it derives, and the rows it chooses, are
// those of masked values. A view reads as its owner, though, and a subquery as the
// role of the session. Where that could make a difference, and where a name in the
// definition could mean something else to the session, the view stays, and only what
// it shows is masked.

const maxViewDepth = 32

// definition returns the SELECT that stands in the place of a view and the first
// masked column in it, nothing when the view stays.
func (m maskSet) definition(r Request, scan *query.Scan) (sql, first string) {
	a := scan.Definition()
	if a == nil || a.Refusal != nil || !a.Shape.Complete || scan.Sampled || r.depth >= maxViewDepth {
		return "", ""
	}
	if !seenThrough(r, scan, a) {
		return "", ""
	}
	inside := Request{Analysis: a, Snapshot: r.Snapshot, Masks: r.Masks, depth: r.depth + 1, user: r.role()}
	scans, refs, err := m.plan(inside)
	if err != nil || len(scans) == 0 || len(refs) > 0 {
		return "", ""
	}
	w, err := newWriter(inside, scans)
	if err != nil || !w.pinNames() {
		return "", ""
	}
	if err := w.write(scans, nil); err != nil {
		return "", ""
	}
	if sql, err = w.verified(); err != nil {
		return "", ""
	}
	return sql, scans[0].first
}

// role is the one that the session has.
func (r Request) role() string {
	if r.depth > 0 {
		return r.user
	}
	return r.Analysis.User
}

// seenThrough reports whether the role of the session reads what the view reads.
func seenThrough(r Request, scan *query.Scan, a *query.Analysis) bool {
	view, s := scan.Relation, r.Snapshot
	if s.Role != r.role() || !s.MayRead(view, exposed(scan)) || !view.Access.OwnerReads || scan.Locked && !view.Access.Lockable {
		return false
	}
	same := view.Access.Owned || view.Access.Invoker
	return !slices.ContainsFunc(a.Scans, func(inner *query.Scan) bool {
		base := inner.Relation
		switch {
		case base.Temporary, !s.MayRead(base, exposed(inner)), scan.Locked && !base.Access.Lockable:
			return true
		case base.Access.RowSecurity, base.Kind == catalog.ForeignTable: // as whom matters
			return !same
		default:
			return false
		}
	})
}

// pinNames puts pg_catalog in front of what a view's definition names without a
// schema, since the session may have another search path. It reports whether every
// name will be what it was to the view.
func (w *writer) pinNames() bool {
	pins := &pins{writer: w, compared: map[string]bool{}, types: map[catalog.OID]bool{}}
	for _, scan := range w.r.Analysis.Scans {
		for _, c := range scan.Relation.Columns {
			pins.seenType(c.Type)
		}
		if scan.Node.Schemaname == "" {
			pins.system = append(pins.system, scan.Node)
		}
	}
	for _, judged := range pins.system {
		p := w.places[judged]
		if p.rv == nil || w.addSchema(p.rv, "pg_catalog") != nil {
			return false
		}
	}
	walkMessages(w.tree, pins.visit)
	return !pins.failed && !pins.ambiguous()
}

type pins struct {
	*writer
	system   []*pg_query.RangeVar
	compared map[string]bool // operators that are meant without being written
	types    map[catalog.OID]bool
	failed   bool
}

func (p *pins) visit(m any) {
	switch n := m.(type) {
	case *pg_query.FuncCall:
		n.Funcname = p.prefixed(n.Location, n.Funcname, p.resultTypes)
	case *pg_query.TypeName:
		n.Names = p.prefixed(n.Location, n.Names, p.namedType)
	case *pg_query.RangeTableSample:
		n.Method = p.prefixed(n.Location, n.Method, nil)
	case *pg_query.CollateClause:
		if i := p.tokens.at(n.Location); i >= 0 && i+1 < len(p.tokens.list) {
			n.Collname = p.prefixed(int32(p.tokens.start(i+1)), n.Collname, nil)
		} else {
			p.failed = true
		}
	case *pg_query.A_Expr:
		p.expression(n)
	case *pg_query.SubLink:
		if len(n.OperName) > 0 {
			n.OperName = p.operator(n.Location, n.OperName)
		} else if n.Testexpr != nil {
			p.compared["="] = true
		}
	case *pg_query.CaseExpr:
		if n.Arg != nil {
			p.compared["="] = true
		}
	case *pg_query.JoinExpr:
		if len(n.UsingClause) > 0 || n.IsNatural {
			p.compared["="] = true
		}
	case *pg_query.SortBy:
		p.failed = p.failed || len(n.UseOp) > 0
	case *pg_query.TypeCast:
		p.registered(n)
	}
}

// prefixed gives a name without a schema that of pg_catalog.
func (p *pins) prefixed(location int32, name []*pg_query.Node, seen func(schema, name string)) []*pg_query.Node {
	if len(name) == 2 {
		schema := name[0].GetString_().GetSval()
		p.failed = p.failed || !p.r.Snapshot.Usable(schema)
		if seen != nil {
			seen(schema, name[1].GetString_().GetSval())
		}
	}
	if len(name) != 1 {
		return name
	}
	i := p.tokens.at(location)
	if i < 0 {
		p.failed = true
		return name
	}
	start := p.tokens.start(i)
	p.edit(start, start, p.spaceBefore(start)+"pg_catalog.")
	return append([]*pg_query.Node{pg_query.MakeStrNode("pg_catalog")}, name...)
}

func (p *pins) resultTypes(schema, name string) {
	for _, f := range p.r.Snapshot.Functions(schema, name) {
		p.seenType(f.Result)
		for _, t := range f.OutTypes {
			p.seenType(t)
		}
	}
}

func (p *pins) namedType(schema, name string) {
	if t := p.r.Snapshot.Type(schema, name); t != nil {
		p.seenType(t.OID)
	}
}

// seenType notes a type with those it is made of.
func (p *pins) seenType(oid catalog.OID) {
	t := p.r.Snapshot.TypeByOID(oid)
	if t == nil || p.types[oid] {
		return
	}
	p.types[oid] = true
	p.seenType(t.Base)
	p.seenType(t.Elem)
}

func (p *pins) expression(n *pg_query.A_Expr) {
	switch n.Kind {
	case pg_query.A_Expr_Kind_AEXPR_OP, pg_query.A_Expr_Kind_AEXPR_OP_ANY, pg_query.A_Expr_Kind_AEXPR_OP_ALL:
		n.Name = p.operator(n.Location, n.Name)
	case pg_query.A_Expr_Kind_AEXPR_DISTINCT, pg_query.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg_query.A_Expr_Kind_AEXPR_NULLIF,
		pg_query.A_Expr_Kind_AEXPR_IN:
		p.compared["="] = true
	default: // definitions are not written with others
		p.failed = true
	}
}

// operator gives an operator's name the schema.
func (p *pins) operator(location int32, name []*pg_query.Node) []*pg_query.Node {
	if len(name) != 1 {
		p.failed = p.failed || len(name) != 2 || !p.r.Snapshot.Usable(name[0].GetString_().GetSval())
		return name
	}
	i, op := p.tokens.at(location), name[0].GetString_().GetSval()
	if i < 0 || p.text[p.tokens.start(i):p.tokens.end(i)] != op {
		p.failed = true
		return name
	}
	p.edit(p.tokens.start(i), p.tokens.end(i), "OPERATOR(pg_catalog."+op+")")
	return append([]*pg_query.Node{pg_query.MakeStrNode("pg_catalog")}, name...)
}

// registered pins the names of objects in constants, such as 'english'::regconfig.
func (p *pins) registered(n *pg_query.TypeCast) {
	names, constant := n.TypeName.GetNames(), n.Arg.GetAConst()
	if len(names) == 0 || constant.GetSval() == nil {
		return
	}
	name := constant.GetSval().Sval
	switch names[len(names)-1].GetString_().GetSval() {
	case "regclass", "regproc", "regprocedure", "regoper", "regoperator", "regconfig", "regdictionary", "regcollation":
		i := p.tokens.at(constant.Location)
		switch {
		case strings.Contains(name, ".") || name == "-":
		case i < 0 || !p.tokens.is(i, pg_query.Token_SCONST):
			p.failed = true
		default:
			constant.GetSval().Sval = "pg_catalog." + name
			p.edit(p.tokens.start(i), p.tokens.end(i), literal(constant.GetSval().Sval))
		}
	case "regtype":
		p.failed = p.failed || !strings.Contains(name, ".")
	}
}

// ambiguous reports whether an operator that is meant without being written could be
// one of a user's making.
func (p *pins) ambiguous() bool {
	for name := range p.compared {
		for _, o := range p.r.Snapshot.Operators(name) {
			if o.Schema == "pg_catalog" {
				continue
			}
			if p.types[o.Left] || p.types[o.Right] || !o.Left.User() && !o.Right.User() {
				return true
			}
		}
	}
	return false
}
