package rewrite

import (
	"sort"
	"strings"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v5"

	"github.com/sallyport/sallyport/internal/query"
)

// edit puts text in the place of a piece of the client's statement.
type edit struct {
	start, end int // bytes
	text       string
	removed    int // characters of the piece
}

// apply makes the edits, which must be sorted and apart from each other.
func apply(sql string, edits []edit) (string, bool) {
	var b strings.Builder
	at := 0
	for _, e := range edits {
		if e.start < at || e.end < e.start || e.end > len(sql) {
			return "", false
		}
		b.WriteString(sql[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(sql[at:])
	return b.String(), true
}

// ClientPosition turns a place in SQL, as the server's errors tell it (in characters
// from 1), into the place in the client's own statement. What lies inside a mask
// becomes the place of the relation.
func (r *Result) ClientPosition(position int) int {
	if position <= 0 || len(r.edits) == 0 {
		return position
	}
	byteAt := len(r.SQL)
	for i := range r.SQL {
		if position--; position == 0 {
			byteAt = i
			break
		}
	}
	// Of the client's text before the place: so many bytes, and then so many
	// characters.
	shift := 0 // what the edits before have added, in bytes
	chars := 1
	at := 0 // in SQL
	for _, e := range r.edits {
		from := e.start + shift
		if byteAt < from {
			break
		}
		chars += utf8.RuneCountInString(r.SQL[at:from])
		if byteAt < from+len(e.text) {
			return chars
		}
		chars += e.removed
		at = from + len(e.text)
		shift += len(e.text) - (e.end - e.start)
	}
	return chars + utf8.RuneCountInString(r.SQL[at:byteAt])
}

// tokens are those of a statement, comments left out.
type tokens struct {
	sql  string
	list []*pg_query.ScanToken
}

func scanTokens(sql string) (*tokens, error) {
	list, err := query.ScanTokens(sql)
	if err != nil {
		return nil, internal("its tokens could not be found")
	}
	return &tokens{sql: sql, list: list}, nil
}

// at returns the index of the token that begins there, or -1.
func (t *tokens) at(location int32) int {
	i := sort.Search(len(t.list), func(i int) bool { return t.list[i].Start >= location })
	if i < len(t.list) && t.list[i].Start == location {
		return i
	}
	return -1
}

func (t *tokens) is(i int, token pg_query.Token) bool {
	return i >= 0 && i < len(t.list) && t.list[i].Token == token
}

// start and end bound a token in the text. The scanner gives U&"names" a wrong end.
func (t *tokens) start(i int) int { return int(t.list[i].Start) }

func (t *tokens) end(i int) int {
	if t.list[i].Token != pg_query.Token_UIDENT {
		return int(t.list[i].End)
	}
	open := t.start(i) + len(`U&`)
	if open >= len(t.sql) {
		return len(t.sql)
	}
	return open + closingQuote(t.sql[open:]) + 1
}

// name returns the index of the last token of one name that begins at the token.
func (t *tokens) name(i int) int {
	if t.is(i, pg_query.Token_UIDENT) && t.is(i+1, pg_query.Token_UESCAPE) && t.is(i+2, pg_query.Token_SCONST) {
		return i + 2
	}
	return i
}

// dotted returns the index of the last token of a name with so many parts.
func (t *tokens) dotted(i, parts int) int {
	for {
		if i < 0 || i >= len(t.list) {
			return -1
		}
		last := t.name(i)
		if parts--; parts == 0 {
			return last
		}
		if !t.is(last+1, dot) {
			return -1
		}
		i = last + 2
	}
}

// parenthesized returns the index of the parenthesis that closes the one at i, or -1.
func (t *tokens) parenthesized(i int) int {
	if !t.is(i, openParen) {
		return -1
	}
	for depth := 0; i < len(t.list); i++ {
		if t.is(i, openParen) {
			depth++
		}
		if t.is(i, closeParen) {
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// endsItem are the words that a list of outputs ends before, besides a comma and
// what closes.
var endsItem = map[pg_query.Token]bool{
	comma: true, closeParen: true, closeBracket: true, semicolon: true,
	pg_query.Token_FROM: true, pg_query.Token_WHERE: true, pg_query.Token_GROUP_P: true, pg_query.Token_HAVING: true,
	pg_query.Token_WINDOW: true, pg_query.Token_UNION: true, pg_query.Token_INTERSECT: true, pg_query.Token_EXCEPT: true,
	pg_query.Token_ORDER: true, pg_query.Token_LIMIT: true, pg_query.Token_OFFSET: true, pg_query.Token_FETCH: true,
	pg_query.Token_FOR: true, pg_query.Token_INTO: true,
}

// item returns the index of the last token of the list item that begins at i, or -1.
func (t *tokens) item(i int) int {
	if i < 0 {
		return -1
	}
	for depth, last := 0, i; ; last++ {
		switch {
		case last >= len(t.list):
			return last - 1
		case depth == 0 && endsItem[t.list[last].Token] && !t.is(last-1, pg_query.Token_DISTINCT):
			return last - 1
		case t.is(last, openParen) || t.is(last, openBracket):
			depth++
		case t.is(last, closeParen) || t.is(last, closeBracket):
			depth--
		}
	}
}

const (
	comma        = pg_query.Token_ASCII_44
	semicolon    = pg_query.Token_ASCII_59
	openBracket  = pg_query.Token_ASCII_91
	closeBracket = pg_query.Token_ASCII_93
	openParen    = pg_query.Token_ASCII_40
	closeParen   = pg_query.Token_ASCII_41
	star         = pg_query.Token_ASCII_42
	dot          = pg_query.Token_ASCII_46
)
