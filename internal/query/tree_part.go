package query

import (
	"errors"
	"strconv"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// A Part is the tree of a statement that is put into others as it is.
type Part struct {
	Node   *pg_query.Node // nobody changes it
	sql    string
	pieces []string // of its JSON, between the places in the text
	places []int    // these
}

// ParsePart parses a text of one statement to be put into others.
func ParsePart(sql string) (*Part, error) {
	text, err := pg_query.ParseToJSON(sql)
	if err != nil {
		return nil, err
	}
	tree := readTree(text, sql)
	if tree == nil {
		if tree, err = pg_query.Parse(sql); err != nil {
			return nil, err
		}
	}
	if len(tree.Stmts) != 1 {
		return nil, errors.New("not one statement")
	}
	p := &Part{Node: tree.Stmts[0].Stmt, sql: sql}
	p.cut(text)
	return p, nil
}

// cut cuts the statement's JSON where it tells places.
func (p *Part) cut(text string) {
	const before, after, place = `"stmts":[{"stmt":`, `}]}`, `"location":`
	_, text, ok := strings.Cut(text, before)
	text, whole := strings.CutSuffix(text, after)
	if !ok || !whole || strings.Contains(text, "stmt_") {
		return
	}
	var pieces []string
	var places []int
	for {
		i := strings.Index(text, place)
		if i < 0 {
			p.pieces, p.places = append(pieces, text), places
			return
		}
		i += len(place)
		rest := strings.TrimLeft(text[i:], "-0123456789")
		n, err := strconv.Atoi(text[i : len(text)-len(rest)])
		if err != nil {
			return
		}
		pieces, places = append(pieces, text[:i]), append(places, n)
		text = rest
	}
}

// samePart reports whether what comes is the part, and takes it if so: its JSON, of
// its text, which tells what the JSON does not.
func (r *treeReader) samePart(p *Part) bool {
	if p == nil || len(p.places) == 0 {
		return false
	}
	from := r.at
	if r.isPart(p) {
		return true
	}
	r.at = from
	return false
}

func (r *treeReader) isPart(p *Part) bool {
	shift, known := 0, false
	for i, piece := range p.pieces {
		if !r.literal(piece) {
			return false
		}
		if i == len(p.places) {
			break
		}
		n, ok := r.signed()
		switch place := p.places[i]; {
		case !ok:
			return false
		case place < 0:
			if int(n) != place {
				return false
			}
		case !known:
			shift, known = int(n)-place, true
		case int(n) != place+shift:
			return false
		}
	}
	return known && shift >= 0 && shift <= len(r.sql) && strings.HasPrefix(r.sql[shift:], p.sql)
}
