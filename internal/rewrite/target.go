package rewrite

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/query"
)

// maskedRef is a place that refers to masked columns of a statement's target: the
// masks stand there themselves, since a target cannot be a subquery.
type maskedRef struct {
	*query.TargetRef
	target *query.Target
	masks  map[*catalog.Column]Mask
	first  string // id of the first masked one, for refusals
}

// refs says which references to targets must be replaced.
func (m maskSet) refs(a *query.Analysis) ([]*maskedRef, error) {
	var refs []*maskedRef
	for _, target := range a.Targets {
		for _, ref := range target.Refs {
			masked, err := m.ref(target, ref)
			if err != nil {
				return nil, err
			}
			if masked != nil {
				refs = append(refs, masked)
			}
		}
	}
	return refs, nil
}

// ref returns how a reference must be masked, nil when it need not.
func (m maskSet) ref(target *query.Target, ref *query.TargetRef) (*maskedRef, error) {
	if ref.Kept {
		return nil, nil
	}
	masked := &maskedRef{TargetRef: ref, target: target, masks: map[*catalog.Column]Mask{}}
	for _, c := range ref.Columns() {
		if mask, ok := m.ofTarget(target, c); ok {
			masked.masks[c] = mask
			if masked.first == "" {
				masked.first = columnID(target.Relation, c)
			}
		}
	}
	if masked.first == "" {
		return nil, nil
	}
	for _, c := range ref.Star {
		if c.Ambiguous {
			return nil, refusal(masked.first, "cannot be listed by * together with column "+catalog.QuoteIdent(c.Name)+", which no name is enough for",
				"Name the columns you need, each with an alias of its table.")
		}
	}
	return masked, nil
}

// ofTarget is of for a target.
func (m maskSet) ofTarget(target *query.Target, c *catalog.Column) (Mask, bool) {
	return m.of(&query.Scan{Relation: target.Relation, Lineage: target.Lineage}, c)
}

// refer puts masks in the place of a reference.
func (w *writer) refer(ref *maskedRef) error {
	at := w.at(ref.Node)
	holders := w.columns[at]
	first := w.tokens.at(at)
	last := w.tokens.dotted(first, len(ref.Node.Fields))
	if ref.Column == nil && len(ref.Node.Fields) == 1 {
		last = first
	}
	if len(holders) == 0 || first < 0 || last < 0 {
		return internal("a column reference was not found in its text")
	}
	if ref.Column == nil {
		return w.expand(ref, first, last)
	}
	start, end := w.tokens.start(first), w.tokens.end(last)
	text, node, err := w.maskAt(ref, ref.Column, w.text[start:end])
	if err != nil {
		return err
	}
	names := w.unnamed[at]
	w.edit(start, end, w.spaceBefore(start)+text)
	before := make([]string, len(names))
	for i, list := range names {
		before[i] = query.OutputName(list.Val)
	}
	for _, holder := range holders {
		holder.Node = node.Node
	}
	return w.keepName(names, before)
}

// at is where a reference of the judged tree stands in the text, -1 if nowhere.
func (w *writer) at(judged *pg_query.ColumnRef) int32 {
	if own := w.refs[judged]; own != nil {
		return own.Location
	}
	return -1
}

// maskAt writes the mask of a column as an expression over what refers to it, and
// parses it.
func (w *writer) maskAt(ref *maskedRef, c *catalog.Column, written string) (string, *pg_query.Node, error) {
	expression, err := maskedAs(written, ref.target.Relation, c, ref.masks[c], w.r.Snapshot)
	if err != nil {
		return "", nil, err
	}
	node, err2 := parseExpression(expression)
	if err2 != nil {
		return "", nil, err2
	}
	return "(" + expression + ")", node, nil
}

func parseExpression(text string) (*pg_query.Node, error) {
	p, err := part("SELECT " + text)
	if err != nil {
		return nil, err
	}
	list := p.Node.GetSelectStmt().GetTargetList()
	if len(list) != 1 || list[0].GetResTarget() == nil {
		return nil, internal("an expression is not one")
	}
	return list[0].GetResTarget().Val, nil
}

// keepName gives an item of a list the name that it had while the reference stood in
// it, where the mask has none or another.
func (w *writer) keepName(targets []*pg_query.ResTarget, before []string) error {
	edited := map[int]bool{}
	for i, target := range targets {
		if target.Name != "" || query.OutputName(target.Val) == before[i] {
			continue
		}
		end := w.tokens.item(w.tokens.at(target.Location))
		if end < 0 {
			return internal("the end of an expression was not found in its text")
		}
		target.Name = before[i]
		if !edited[end] {
			edited[end] = true
			at := w.tokens.end(end)
			w.edit(at, at, " AS "+quote(before[i]))
		}
	}
	return nil
}

// expand writes the columns that a star stands for in its place.
func (w *writer) expand(ref *maskedRef, first, last int) error {
	start, end := w.tokens.start(first), w.tokens.end(last)
	prefix := ""
	if n := len(ref.Node.Fields); n > 1 {
		prefix = w.text[start:w.tokens.end(w.tokens.dotted(first, n-1))] + "."
	}
	var texts []string
	var items []*pg_query.Node
	for _, c := range ref.Star {
		written := prefix + quote(c.Name)
		if c.Qualifier != nil {
			written = quoted(c.Qualifier) + "." + written
		}
		item := &pg_query.ResTarget{}
		text := written
		var err error
		if _, masked := ref.masks[c.Column]; masked {
			item.Name = c.Name
			text, item.Val, err = w.maskAt(ref, c.Column, written)
			text += " AS " + quote(c.Name)
		} else {
			item.Val, err = parseExpression(written)
		}
		if err != nil {
			return err
		}
		texts = append(texts, text)
		items = append(items, &pg_query.Node{Node: &pg_query.Node_ResTarget{ResTarget: item}})
	}
	w.edit(start, end, w.spaceBefore(start)+strings.Join(texts, ", "))
	return w.replaceItem(w.at(ref.Node), items)
}

// replaceItem puts items in the place of one that is a reference.
func (w *writer) replaceItem(at int32, items []*pg_query.Node) error {
	found := false
	replace := func(list []*pg_query.Node) []*pg_query.Node {
		i := slices.IndexFunc(list, func(n *pg_query.Node) bool {
			ref := n.GetResTarget().GetVal().GetColumnRef()
			return ref != nil && ref.Location == at && ref.Fields[len(ref.Fields)-1].GetAStar() != nil
		})
		if i < 0 {
			return list
		}
		found = true
		return slices.Concat(list[:i], items, list[i+1:])
	}
	walkMessages(w.tree, func(m any) {
		switch st := m.(type) {
		case *pg_query.SelectStmt:
			st.TargetList = replace(st.TargetList)
		case *pg_query.InsertStmt:
			st.ReturningList = replace(st.ReturningList)
		case *pg_query.UpdateStmt:
			st.ReturningList = replace(st.ReturningList)
		case *pg_query.DeleteStmt:
			st.ReturningList = replace(st.ReturningList)
		}
	})
	if !found {
		return internal("the list of a star was not found")
	}
	return nil
}

func quoted(names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = quote(name)
	}
	return strings.Join(parts, ".")
}
