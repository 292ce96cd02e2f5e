package sqlgen

// copied writes a COPY out of the database.
func (g *Generator) copied() *Statement {
	g.parameters = false
	st := &Statement{Kind: "copy", Copy: true}
	options := g.word("", " WITH (FORMAT csv, HEADER)", " WITH (FORMAT csv, FORCE_QUOTE *)", " (DELIMITER '|', NULL 'nil')")
	if g.Below(2) == 0 {
		t := pick(g.Choices, g.schema.Tables)
		if t.Kind == "r" {
			st.SQL = "COPY " + g.tableName(t) + g.word("", " ("+quote(pick(g.Choices, t.Columns).Name)+")") + " TO STDOUT" + options
			return st
		}
	}
	inside := g.top()
	st.Ordered = inside.Ordered
	st.SQL = "COPY (" + inside.SQL + ") TO STDOUT" + options
	return st
}

// named writes a query that is run by a name: a prepared statement or a cursor.
func (g *Generator) named() *Statement {
	g.parameters = false
	st := g.top()
	if g.Below(2) == 0 {
		st.Before, st.After = []string{"PREPARE twin_p AS " + st.SQL}, []string{"DEALLOCATE twin_p"}
		st.SQL, st.Kind = "EXECUTE twin_p", "execute"
		return st
	}
	st.Before = []string{"BEGIN", "DECLARE twin_c " + g.word("", "NO SCROLL ", "INSENSITIVE ") + "CURSOR FOR " + st.SQL}
	st.After = []string{"CLOSE twin_c", "ROLLBACK"}
	st.SQL, st.Kind = "FETCH "+g.word("ALL", "FORWARD ALL")+" FROM twin_c", "fetch"
	return st
}

// made writes a table made of a query, which nobody reads.
func (g *Generator) made() *Statement {
	g.parameters = false
	query, _ := g.query(&scope{}, nil, g.Below(topDepth))
	return &Statement{Kind: "create table as", Before: []string{"BEGIN"}, SQL: "CREATE TABLE app.twin_made AS " + query, After: []string{"ROLLBACK"}}
}

// explained writes EXPLAIN of any statement.
func (g *Generator) explained() *Statement {
	g.parameters = false
	var st *Statement
	switch g.Below(6) {
	case 3:
		st = g.insert()
	case 4:
		st = g.update()
	case 5:
		st = g.remove()
	default:
		st = g.top()
	}
	st.SQL = "EXPLAIN " + g.word("", "(COSTS OFF) ", "(VERBOSE, COSTS OFF) ", "(ANALYZE, TIMING OFF, SUMMARY OFF) ", "(FORMAT JSON) ", "(ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ") + st.SQL
	st.Kind, st.Plan, st.Ordered = "explain", true, true
	return st
}
