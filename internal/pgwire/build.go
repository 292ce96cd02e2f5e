package pgwire

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Message types, as sent by the client (front) and the server (back).
const (
	Bind        byte = 'B'
	Close       byte = 'C'
	Describe    byte = 'D'
	Execute     byte = 'E'
	Flush       byte = 'H'
	Function    byte = 'F'
	Parse       byte = 'P'
	Password    byte = 'p'
	Query       byte = 'Q'
	Sync        byte = 'S'
	Terminate   byte = 'X'
	CopyData    byte = 'd'
	CopyDone    byte = 'c'
	CopyFail    byte = 'f'
	AuthRequest byte = 'R'

	BackendKey      byte = 'K'
	BindComplete    byte = '2'
	CloseComplete   byte = '3'
	CommandComplete byte = 'C'
	CopyBoth        byte = 'W'
	CopyIn          byte = 'G'
	CopyOut         byte = 'H'
	DataRow         byte = 'D'
	EmptyQuery      byte = 'I'
	ErrorResponse   byte = 'E'
	NegotiateVer    byte = 'v'
	NoData          byte = 'n'
	Notice          byte = 'N'
	Notification    byte = 'A'
	ParameterDesc   byte = 't'
	ParameterStatus byte = 'S'
	ParseComplete   byte = '1'
	PortalSuspended byte = 's'
	ReadyForQuery   byte = 'Z'
	RowDescription  byte = 'T'
)

// ErrMalformed is returned for a message whose body is not what its type demands.
var ErrMalformed = errors.New("malformed message")

// AppendFrame appends a message of the given type whose body is the parts joined.
func AppendFrame(dst []byte, typ byte, parts ...[]byte) []byte {
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	dst = append(dst, typ)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// AppendQuery appends a simple Query.
func AppendQuery(dst []byte, sql string) []byte {
	return AppendFrame(dst, Query, []byte(sql), []byte{0})
}

// AppendReady appends ReadyForQuery with a transaction status: I, T or E.
func AppendReady(dst []byte, status byte) []byte {
	return AppendFrame(dst, ReadyForQuery, []byte{status})
}

// ParseMessage is the client's Parse. Its parts lie in the frame.
type ParseMessage struct {
	Name  string
	Query string
	Tail  []byte // number of parameter types and the types, as sent
}

// DecodeParse reads a Parse message.
func DecodeParse(body []byte) (ParseMessage, error) {
	name, rest, ok := cstring(body)
	if !ok {
		return ParseMessage{}, ErrMalformed
	}
	sql, tail, ok := cstring(rest)
	if !ok || len(tail) < 2 || len(tail) != 2+4*int(binary.BigEndian.Uint16(tail)) {
		return ParseMessage{}, ErrMalformed
	}
	return ParseMessage{Name: name, Query: sql, Tail: tail}, nil
}

// Types are the OIDs of the parameters whose types the client names, 0 for others.
func (p ParseMessage) Types() []uint32 {
	types := make([]uint32, 0, len(p.Tail)/4)
	for t := p.Tail[2:]; len(t) >= 4; t = t[4:] {
		types = append(types, binary.BigEndian.Uint32(t))
	}
	return types
}

// Append appends the message with another statement text.
func (p ParseMessage) Append(dst []byte, sql string) []byte {
	return AppendFrame(dst, Parse, []byte(p.Name), []byte{0}, []byte(sql), []byte{0}, p.Tail)
}

// BindMessage names what a Bind joins; Values is the rest of it, as sent:
// parameter formats, parameters and result formats.
type BindMessage struct {
	Portal    string
	Statement string
	Values    []byte
}

// DecodeBind reads the names of a Bind message and checks its structure.
func DecodeBind(body []byte) (BindMessage, error) {
	portal, rest, ok := cstring(body)
	if !ok {
		return BindMessage{}, ErrMalformed
	}
	statement, rest, ok := cstring(rest)
	if !ok {
		return BindMessage{}, ErrMalformed
	}
	b := BindMessage{Portal: portal, Statement: statement, Values: rest}
	if _, err := b.Parameters(); err != nil {
		return BindMessage{}, err
	}
	return b, nil
}

// Parameter is one bound value: its format (0 text, 1 binary) and bytes, nil for NULL.
type Parameter struct {
	Format int16
	Value  []byte
}

// Parameters decodes the bound values, which lie in the frame.
func (b BindMessage) Parameters() ([]Parameter, error) {
	formats, rest, ok := int16s(b.Values)
	if !ok || len(rest) < 2 {
		return nil, ErrMalformed
	}
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if len(formats) > 1 && len(formats) != n {
		return nil, ErrMalformed
	}
	params := make([]Parameter, 0, min(n, 64))
	for i := range n {
		p := Parameter{}
		switch {
		case len(formats) == 1:
			p.Format = formats[0]
		case len(formats) > 1:
			p.Format = formats[i]
		}
		if len(rest) < 4 {
			return nil, ErrMalformed
		}
		size := int32(binary.BigEndian.Uint32(rest))
		rest = rest[4:]
		if size >= 0 {
			if int(size) > len(rest) {
				return nil, ErrMalformed
			}
			p.Value = rest[:size:size]
			rest = rest[size:]
		} else if size != -1 {
			return nil, ErrMalformed
		}
		params = append(params, p)
	}
	if _, rest, ok = int16s(rest); !ok || len(rest) != 0 {
		return nil, ErrMalformed
	}
	return params, nil
}

// ResultFormats are the formats asked for, none meaning text for all columns.
func (b BindMessage) ResultFormats() []int16 {
	_, rest, _ := int16s(b.Values)
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	for range n {
		if size := int32(binary.BigEndian.Uint32(rest)); size >= 0 {
			rest = rest[size:]
		}
		rest = rest[4:]
	}
	formats, _, _ := int16s(rest)
	return formats
}

func int16s(b []byte) (values []int16, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(b) < 2*n {
		return nil, nil, false
	}
	values = make([]int16, n)
	for i := range values {
		values[i] = int16(binary.BigEndian.Uint16(b[2*i:]))
	}
	return values, b[2*n:], true
}

// ExecuteMessage names the portal to run and how many rows to return at most, 0
// for all.
type ExecuteMessage struct {
	Portal string
	Rows   uint32
}

// DecodeExecute reads an Execute message.
func DecodeExecute(body []byte) (ExecuteMessage, error) {
	portal, rest, ok := cstring(body)
	if !ok || len(rest) != 4 {
		return ExecuteMessage{}, ErrMalformed
	}
	return ExecuteMessage{Portal: portal, Rows: binary.BigEndian.Uint32(rest)}, nil
}

// Target is what Describe and Close name: a statement (S) or a portal (P).
type Target struct {
	Kind byte
	Name string
}

// DecodeTarget reads a Describe or Close message.
func DecodeTarget(body []byte) (Target, error) {
	if len(body) < 2 || (body[0] != 'S' && body[0] != 'P') {
		return Target{}, ErrMalformed
	}
	name, rest, ok := cstring(body[1:])
	if !ok || len(rest) != 0 {
		return Target{}, ErrMalformed
	}
	return Target{Kind: body[0], Name: name}, nil
}

// DecodeQuery reads a simple Query's text.
func DecodeQuery(body []byte) (string, error) {
	sql, rest, ok := cstring(body)
	if !ok || len(rest) != 0 {
		return "", ErrMalformed
	}
	return sql, nil
}

// DecodeParameterStatus reads a ParameterStatus' name and value.
func DecodeParameterStatus(body []byte) (name, value string, err error) {
	name, rest, ok := cstring(body)
	if !ok {
		return "", "", ErrMalformed
	}
	value, rest, ok = cstring(rest)
	if !ok || len(rest) != 0 {
		return "", "", ErrMalformed
	}
	return name, value, nil
}

// AppendParameterStatus appends a ParameterStatus.
func AppendParameterStatus(dst []byte, name, value string) []byte {
	return AppendFrame(dst, ParameterStatus, []byte(name), []byte{0}, []byte(value), []byte{0})
}

// FieldOrigin says which table column a result column comes from as it is;
// Relation 0 for none.
type FieldOrigin struct {
	Name     string
	Relation uint32
	Column   int16
}

// DecodeOrigins reads the origins of a RowDescription's columns.
func DecodeOrigins(body []byte) ([]FieldOrigin, error) {
	if len(body) < 2 {
		return nil, ErrMalformed
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	fields := make([]FieldOrigin, 0, n)
	for range n {
		name, rest, ok := cstring(body)
		if !ok || len(rest) < 18 {
			return nil, ErrMalformed
		}
		fields = append(fields, FieldOrigin{
			Name:     name,
			Relation: binary.BigEndian.Uint32(rest),
			Column:   int16(binary.BigEndian.Uint16(rest[4:])),
		})
		body = rest[18:]
	}
	if len(body) != 0 {
		return nil, ErrMalformed
	}
	return fields, nil
}

func cstring(b []byte) (s string, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", nil, false
	}
	return string(b[:i]), b[i+1:], true
}
