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
	tokens, err := ScanTokens(sql)
	if err != nil {
		return parseError(err)
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

// depthBound gives a number no smaller than the depth of any tree the grammar can
// build of the tokens. On each level of brackets, what stands between two
// separators is taken to nest once per token. Separators are what makes
// siblings: commas, semicolons, AND and OR (whose chains the grammar flattens),
// and the words of CASE. A join or a set operation separates as well, but adds to
// a chain that no separator ends. A keyword that may be a name does not count as
// one: keywords after a dot, AS or :: never, JOIN only where a relation can follow.
func depthBound(tokens []*pg_query.ScanToken) int {
	d := depths{{}}
	for i, token := range tokens {
		d.top().segment++
		switch token.Token {
		case pg_query.Token_ASCII_40, pg_query.Token_ASCII_91: // ( [
			d = append(d, depthLevel{})
		case pg_query.Token_ASCII_41, pg_query.Token_ASCII_93: // ) ]
			d.closeLabels()
			d.close()
		case pg_query.Token_ASCII_44, pg_query.Token_ASCII_59: // , ;
			d.closeLabels()
			d.top().separate()
		default:
			if i == 0 || !namesNext(tokens[i-1].Token) {
				d.keyword(token.Token, i+1 < len(tokens) && startsRelation(tokens[i+1]))
			}
		}
	}
	for len(d) > 1 {
		d.close()
	}
	d.top().separate()
	return d.top().deepest + d.top().chain
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

// depths are the levels that are open, never none.
type depths []depthLevel

func (d depths) top() *depthLevel { return &d[len(d)-1] }

// close adds the innermost level to the one around it.
func (d *depths) close() {
	if len(*d) == 1 {
		return
	}
	closed := *d.top()
	closed.separate()
	*d = (*d)[:len(*d)-1]
	if closed.isCase { // perhaps only a label CASE: its chain may be the other's
		d.top().chain += closed.chain
		d.top().segment += closed.deepest
	} else {
		d.top().segment += closed.deepest + closed.chain
	}
}

// closeLabels closes what CASE seemed to open. A real one ends with END, before
// any comma or bracket of the level around it.
func (d *depths) closeLabels() {
	for d.top().isCase {
		d.close()
	}
}

func (d *depths) keyword(token pg_query.Token, beforeRelation bool) {
	switch token {
	case pg_query.Token_CASE:
		*d = append(*d, depthLevel{isCase: true})
	case pg_query.Token_END_P:
		if d.top().isCase {
			d.close()
		}
	case pg_query.Token_AND, pg_query.Token_OR, pg_query.Token_WHEN, pg_query.Token_THEN, pg_query.Token_ELSE:
		d.top().separate()
	case pg_query.Token_UNION, pg_query.Token_INTERSECT, pg_query.Token_EXCEPT:
		d.top().separate()
		d.top().chain += 2
	case pg_query.Token_JOIN:
		d.top().chain += 2
		if beforeRelation {
			d.top().separate()
		}
	default: // neither nests nor separates
	}
}

// namesNext reports whether what follows the token is a name, whatever it looks
// like.
func namesNext(token pg_query.Token) bool {
	return token == pg_query.Token_ASCII_46 || token == pg_query.Token_AS || token == pg_query.Token_TYPECAST
}

// startsRelation reports whether after JOIN the token can only be a relation's
// name: not what would make JOIN a function's or a type's.
func startsRelation(token *pg_query.ScanToken) bool {
	return token.Token == pg_query.Token_IDENT || token.KeywordKind == pg_query.KeywordKind_UNRESERVED_KEYWORD
}
