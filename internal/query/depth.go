package query

import (
	"fmt"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// maxDepth caps how deep a statement's tree can become. The parser's C code
// recurses over the tree on a stack Go does not guard: the frailest step,
// deparsing a chain of NOTNULL, needs some 1.8 kB of it per token, and a stack has
// 2 MiB where the limit is "unlimited", 8 MiB as a rule. depth_test.go proves the
// cap for chains of every kind.
const maxDepth = 700

// checkDepth counts tokens with PostgreSQL's own scanner, which does not recurse,
// and refuses what could make a tree deeper than maxDepth.
func checkDepth(sql string, maxTokens int) error {
	if len(sql) <= maxDepth && len(sql) <= maxTokens {
		return nil // a token has at least one byte
	}
	scan, err := pg_query.Scan(sql)
	if err != nil {
		return parseError(err)
	}
	tokens := scan.Tokens[:0]
	for _, t := range scan.Tokens {
		if t.Token != pg_query.Token_SQL_COMMENT && t.Token != pg_query.Token_C_COMMENT {
			tokens = append(tokens, t)
		}
	}
	if len(tokens) > maxTokens {
		return &Error{Code: codeTooLarge,
			Message: fmt.Sprintf("statement of %d tokens is larger than the limit of %d", len(tokens), maxTokens),
			Hint:    "Send less at once, or use COPY to load data."}
	}
	if depth := depthBound(tokens); depth > maxDepth {
		return &Error{Code: codeTooComplex,
			Message: fmt.Sprintf("statement could be nested %d deep, more than the limit of %d", depth, maxDepth),
			Hint:    "Use lists (IN, VALUES, arrays) instead of long chains of operators, joins or set operations."}
	}
	return nil
}

// A depthLevel is what stands between one pair of brackets, or CASE and END.
type depthLevel struct {
	isCase  bool
	segment int // tokens since the last separator, and the bound of every group among them
	deepest int // the largest segment so far
	chain   int // joins and set operations, which nest across separators
}

func (l *depthLevel) separate() {
	l.deepest = max(l.deepest, l.segment)
	l.segment = 0
}

// depthBound gives a number no smaller than the depth of any tree the grammar can
// build of the tokens. On each level of brackets, what stands between two
// separators is taken to nest once per token. Separators are what makes
// siblings: commas, semicolons, AND and OR (whose chains the grammar flattens),
// and the words of CASE. A join or a set operation separates as well, but adds to
// a chain that no separator ends. A keyword that may be a name does not count as
// one: keywords after a dot or AS never, JOIN only where a relation can follow.
func depthBound(tokens []*pg_query.ScanToken) int {
	levels := []depthLevel{{}}
	pop := func() {
		top := levels[len(levels)-1]
		levels = levels[:len(levels)-1]
		top.separate()
		parent := &levels[len(levels)-1]
		if top.isCase { // perhaps only a label CASE: its chain may be the parent's
			parent.chain += top.chain
			parent.segment += top.deepest
		} else {
			parent.segment += top.deepest + top.chain
		}
	}
	for i, token := range tokens {
		top := &levels[len(levels)-1]
		top.segment++
		kind := token.Token
		named := i > 0 && (tokens[i-1].Token == pg_query.Token_ASCII_46 || tokens[i-1].Token == pg_query.Token_AS ||
			tokens[i-1].Token == pg_query.Token_TYPECAST)
		switch kind {
		case pg_query.Token_ASCII_40, pg_query.Token_ASCII_91: // ( [
			levels = append(levels, depthLevel{})
			continue
		case pg_query.Token_ASCII_41, pg_query.Token_ASCII_93: // ) ]
			for levels[len(levels)-1].isCase {
				pop()
			}
			if len(levels) > 1 {
				pop()
			}
			continue
		case pg_query.Token_ASCII_44, pg_query.Token_ASCII_59: // , ;
			for levels[len(levels)-1].isCase { // a CASE holds none: it was a label
				pop()
			}
			levels[len(levels)-1].separate()
			continue
		}
		if named {
			continue
		}
		switch kind {
		case pg_query.Token_CASE:
			levels = append(levels, depthLevel{isCase: true})
		case pg_query.Token_END_P:
			if top.isCase {
				pop()
			}
		case pg_query.Token_AND, pg_query.Token_OR, pg_query.Token_WHEN, pg_query.Token_THEN, pg_query.Token_ELSE:
			top.separate()
		case pg_query.Token_UNION, pg_query.Token_INTERSECT, pg_query.Token_EXCEPT:
			top.separate()
			top.chain += 2
		case pg_query.Token_JOIN:
			top.chain += 2
			if i+1 < len(tokens) && startsRelation(tokens[i+1]) {
				top.separate()
			}
		}
	}
	for len(levels) > 1 {
		pop()
	}
	levels[0].separate()
	return levels[0].deepest + levels[0].chain
}

// startsRelation reports whether after JOIN the token can only be a relation's
// name: not what would make JOIN a function's or a type's.
func startsRelation(token *pg_query.ScanToken) bool {
	return token.Token == pg_query.Token_IDENT || token.KeywordKind == pg_query.KeywordKind_UNRESERVED_KEYWORD
}
