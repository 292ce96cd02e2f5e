package query

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// ParseTree parses a text as pg_query.Parse does, and returns what that returns.
// The parser writes its tree as JSON at a fifth of what protobuf costs it. What is
// read is what the parser writes, to the byte; at the first surprise, and where JSON
// says less than protobuf, pg_query.Parse is asked.
func ParseTree(sql string) (*pg_query.ParseResult, error) {
	text, err := pg_query.ParseToJSON(sql)
	if err == nil {
		if tree := readTree(text, sql); tree != nil {
			return tree, nil
		}
	}
	return pg_query.Parse(sql)
}

// SameTree reports whether a text is one statement that has the tree, places in the
// text aside. Parts are those it has been given, by their nodes. False may also mean
// that this was not to be found out so cheaply.
func SameTree(sql string, want *pg_query.Node, parts map[*pg_query.Node]*Part) bool {
	text, err := pg_query.ParseToJSON(sql)
	return err == nil && sameTree(text, sql, want, parts)
}

// readTree reads the parser's JSON; nil when it is not as expected.
func readTree(text, sql string) *pg_query.ParseResult {
	tree := &pg_query.ParseResult{}
	r := treeReader{text: text, sql: sql}
	if !r.message(resultPlan(), reflect.ValueOf(tree).Elem()) || r.at != len(text) {
		return nil
	}
	return tree
}

// treeReader reads JSON from a place on. Its methods return false at a surprise.
type treeReader struct {
	text string
	at   int
	sql  string // what was parsed

	inBounds bool // of an array's type

	// Where a tree is compared: the parts in it, the place last read, and the constant
	// of which the JSON says no number.
	parts    map[*pg_query.Node]*Part
	location int
	unsure   *pg_query.Integer
}

func (r *treeReader) take(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

// each reads an object and has its fields read. They come in the order of the plan,
// each once, some left out; skipped is told which, when it is set.
func (r *treeReader) each(p *treePlan, read func(*treeField) bool) bool {
	if !r.take('{') {
		return false
	}
	if r.take('}') {
		return true
	}
	for next := 0; ; {
		name, ok := r.key()
		if !ok {
			return false
		}
		for next < len(p.fields) && p.fields[next].name != name {
			next++
		}
		if next == len(p.fields) || !read(&p.fields[next]) {
			return false
		}
		next++
		if !r.take(',') {
			return r.take('}')
		}
	}
}

// key reads a field's name with the colon after it.
func (r *treeReader) key() (string, bool) {
	if !r.take('"') {
		return "", false
	}
	end := strings.IndexByte(r.text[r.at:], '"')
	if end < 0 {
		return "", false
	}
	name := r.text[r.at : r.at+end]
	r.at += end + 1
	return name, r.take(':')
}

func (r *treeReader) message(p *treePlan, v reflect.Value) bool {
	ok := r.each(p, func(f *treeField) bool { return r.field(f, v) })
	if ok && p.typ == aConstType {
		if c, is := v.Addr().Interface().(*pg_query.A_Const); is {
			return r.integer(c)
		}
	}
	return ok
}

func (r *treeReader) field(f *treeField, m reflect.Value) bool {
	v := m.Field(f.index)
	switch f.kind {
	case treeString:
		s, ok := r.str()
		v.SetString(s)
		return ok
	case treeBool:
		b, ok := r.boolean()
		v.SetBool(b)
		return ok
	case treeInt:
		n, ok := r.signed()
		if !ok || v.OverflowInt(n) {
			return false
		}
		v.SetInt(n)
		return true
	case treeUint:
		n, ok := r.unsigned()
		if !ok || v.OverflowUint(n) {
			return false
		}
		v.SetUint(n)
		return true
	case treeEnum:
		n, ok := r.enum(f)
		v.SetInt(int64(n))
		return ok
	case treeMessage:
		return r.submessage(f, v)
	case treeNode:
		n := r.node(f.message)
		v.Set(reflect.ValueOf(n))
		return n != nil
	case treeNodes:
		r.inBounds = f.bounds
		return r.nodes(f, v)
	case treeMessages:
		return r.messages(f, v)
	default:
		return false
	}
}

func (r *treeReader) submessage(f *treeField, v reflect.Value) bool {
	m := reflect.New(f.message.typ)
	if f.wrapper == nil {
		v.Set(m)
		return r.message(f.message, m.Elem())
	}
	if !v.IsNil() {
		return false // a second member of a one-of
	}
	w := reflect.New(f.wrapper)
	w.Elem().Field(0).Set(m)
	v.Set(w)
	return r.message(f.message, m.Elem())
}

// node reads an object of one field, the node's type, or of none.
func (r *treeReader) node(p *treePlan) *pg_query.Node {
	if !r.take('{') {
		return nil
	}
	if r.take('}') {
		return &pg_query.Node{}
	}
	name, ok := r.key()
	i, known := p.members[name]
	if !ok || !known {
		return nil
	}
	f := &p.fields[i]
	whole := reflect.New(f.whole).Elem()
	node, wrapper, message := whole.Field(0), whole.Field(1), whole.Field(2)
	wrapper.Field(0).Set(message.Addr())
	node.Field(f.index).Set(wrapper.Addr())
	n, ok := node.Addr().Interface().(*pg_query.Node)
	if !ok || !r.message(f.message, message) || !r.take('}') {
		return nil
	}
	if i, is := n.Node.(*pg_query.Node_Integer); is && i.Integer.Ival == 0 && !r.bound(i.Integer) {
		return nil
	}
	return n
}

// zeroBound finds what could be a bound of zero in an array's type, and more.
var zeroBound = regexp.MustCompile(`\[[ \t\n\r\f\v]*(0|/\*|--)`)

// bound finds out what the bound of an array's type is of which the JSON says no
// number: without a zero in the text it is -1, which stands for none.
func (r *treeReader) bound(i *pg_query.Integer) bool {
	if !r.inBounds || zeroBound.MatchString(r.sql) {
		return false
	}
	i.Ival = -1
	return true
}

func (r *treeReader) nodes(f *treeField, v reflect.Value) bool {
	list, ok := v.Addr().Interface().(*[]*pg_query.Node)
	if !ok || !r.take('[') {
		return false
	}
	var some [8]*pg_query.Node
	read := some[:0]
	for !r.take(']') {
		if len(read) > 0 && !r.take(',') {
			return false
		}
		n := r.node(f.message)
		if n == nil {
			return false
		}
		read = append(read, n)
	}
	r.inBounds = false
	*list = append(make([]*pg_query.Node, 0, len(read)), read...)
	return true
}

func (r *treeReader) messages(f *treeField, v reflect.Value) bool {
	if !r.take('[') {
		return false
	}
	for !r.take(']') {
		if v.Len() > 0 && !r.take(',') {
			return false
		}
		m := reflect.New(f.message.typ)
		if !r.message(f.message, m.Elem()) {
			return false
		}
		v.Set(reflect.Append(v, m))
	}
	return true
}

// integer completes a constant of no number.
func (r *treeReader) integer(c *pg_query.A_Const) bool {
	i, is := c.Val.(*pg_query.A_Const_Ival)
	if !is || i.Ival.Ival != 0 {
		return true
	}
	var ok bool
	i.Ival.Ival, ok = r.integerAt(int(c.Location))
	return ok
}

// integerAt finds out what a constant is of which the JSON says no number: it leaves
// out zero, and whatever is below. The text tells which.
func (r *treeReader) integerAt(location int) (int32, bool) {
	if location < 0 || location >= len(r.sql) {
		return 0, false
	}
	text := r.sql[location:]
	if text[0] == '0' {
		return 0, true
	}
	if text[0] != '-' {
		return 0, false
	}
	digits := strings.TrimLeft(text[1:], " ")
	end := 0
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	if end == 0 || end < len(digits) && strings.IndexByte(" )],;\n", digits[end]) < 0 {
		return 0, false // not plainly an integer
	}
	n, err := strconv.ParseInt("-"+digits[:end], 10, 32)
	return int32(n), err == nil
}

func (r *treeReader) boolean() (value, ok bool) {
	for _, value := range []bool{true, false} {
		if word := strconv.FormatBool(value); strings.HasPrefix(r.text[r.at:], word) {
			r.at += len(word)
			return value, true
		}
	}
	return false, false
}

// digits takes a number as C writes it.
func (r *treeReader) digits() string {
	from := r.at
	r.take('-')
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	return r.text[from:r.at]
}

func (r *treeReader) signed() (int64, bool) {
	n, err := strconv.ParseInt(r.digits(), 10, 64)
	return n, err == nil
}

func (r *treeReader) unsigned() (uint64, bool) {
	n, err := strconv.ParseUint(r.digits(), 10, 64)
	return n, err == nil
}

func (r *treeReader) enum(f *treeField) (int32, bool) {
	if !r.take('"') {
		return 0, false
	}
	end := strings.IndexByte(r.text[r.at:], '"')
	if end < 0 {
		return 0, false
	}
	n, ok := f.enum[r.text[r.at:r.at+end]]
	r.at += end + 1
	return n, ok
}

// str reads a string with the escapes that the parser writes. Protobuf has no
// strings that are not UTF-8.
func (r *treeReader) str() (string, bool) {
	if !r.take('"') {
		return "", false
	}
	rest := r.text[r.at:]
	end := strings.IndexByte(rest, '"')
	if end < 0 {
		return "", false
	}
	if strings.IndexByte(rest[:end], '\\') < 0 {
		r.at += end + 1
		return strings.Clone(rest[:end]), utf8.ValidString(rest[:end])
	}
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			r.at += i + 1
			return b.String(), utf8.ValidString(b.String())
		case c != '\\':
			b.WriteByte(c)
		default:
			c, used := unescape(rest[i+1:])
			if used == 0 {
				return "", false
			}
			b.WriteByte(c)
			i += used
		}
	}
	return "", false
}

// unescape reads what follows a backslash; used is 0 for what the parser does not
// write.
func unescape(s string) (c byte, used int) {
	if s == "" {
		return 0, 0
	}
	if i := strings.IndexByte(`bfnrt"\`, s[0]); i >= 0 {
		return "\b\f\n\r\t\"\\"[i], 1
	}
	if s[0] != 'u' || len(s) < 5 {
		return 0, 0
	}
	n, err := strconv.ParseUint(s[1:5], 16, 16)
	if err != nil || n == 0 || n >= utf8.RuneSelf {
		return 0, 0
	}
	return byte(n), 5
}
