package query

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v5"
	"github.com/pganalyze/pg_query_go/v5/parser"
)

// Statement is one statement of a text a client sent.
type Statement struct {
	Text         string // its own slice of Source, as the client sent it, without the ';'
	Source       string // the whole text
	Node         *pg_query.Node
	Index, Count int

	start int // of Text in Source
}

// Limits cap what is given to the parser. Zero values stand for the defaults.
type Limits struct {
	Bytes  int
	Tokens int
}

const (
	defaultBytes  = 1 << 20
	defaultTokens = 200_000
)

// Parse splits a text into its statements and parses each. Its error is an
// *Error. A text of white space and comments has no statements.
func Parse(sql string, lim Limits) ([]*Statement, error) {
	if err := checkText(sql, lim); err != nil {
		return nil, err
	}
	tree, err := ParseTree(sql)
	if err != nil {
		return nil, parseError(err)
	}
	statements := make([]*Statement, len(tree.Stmts))
	for i, raw := range tree.Stmts {
		start, text, ok := slice(sql, int(raw.StmtLocation), int(raw.StmtLen))
		if !ok || raw.Stmt == nil || raw.Stmt.Node == nil {
			return nil, &Error{Code: codeSyntax, Message: "sallyport: the statement's bounds could not be found"}
		}
		statements[i] = &Statement{Text: text, Source: sql, Node: raw.Stmt, Index: i, Count: len(tree.Stmts), start: start}
	}
	return statements, nil
}

// slice cuts one statement out; a length of 0 means to the end.
func slice(sql string, from, length int) (start int, text string, ok bool) {
	to := from + length
	if length == 0 {
		to = len(sql)
	}
	if from < 0 || to < from || to > len(sql) {
		return 0, "", false
	}
	text = strings.TrimLeft(sql[from:to], " \t\r\n\f\v")
	return to - len(text), strings.TrimRight(text, " \t\r\n\f\v;"), true
}

func checkText(sql string, lim Limits) error {
	if lim.Bytes <= 0 {
		lim.Bytes = defaultBytes
	}
	if lim.Tokens <= 0 {
		lim.Tokens = defaultTokens
	}
	if len(sql) > lim.Bytes {
		return &Error{Code: codeTooLarge,
			Message: fmt.Sprintf("statement of %d bytes is larger than the limit of %d", len(sql), lim.Bytes),
			Hint:    "Send less at once, or use COPY to load data."}
	}
	if strings.IndexByte(sql, 0) >= 0 {
		return &Error{Code: codeBadText, Message: "statement contains a NUL byte"}
	}
	if !utf8.ValidString(sql) {
		return &Error{Code: codeBadText, Message: "statement is not valid UTF-8", Hint: "Set client_encoding to UTF8."}
	}
	return checkDepth(sql, lim.Tokens)
}

func parseError(err error) *Error {
	var parse *parser.Error
	if !errors.As(err, &parse) {
		return &Error{Code: codeSyntax, Message: "sallyport could not parse the statement", Detail: "its tree is nested too deeply"}
	}
	e := &Error{Code: codeSyntax, Message: parse.Message, Position: parse.Cursorpos,
		Hint: "sallyport parses with PostgreSQL 16's grammar and forwards only what it can parse."}
	if parse.Message == "stack depth limit exceeded" || strings.HasPrefix(parse.Message, "memory exhausted") {
		e.Code, e.Message = codeTooComplex, "statement is nested too deeply"
	}
	return e
}
