package pgwire

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// encode is a message as pgproto3 writes it.
func encode(t testing.TB, m pgproto3.Message) Frame {
	t.Helper()
	wire, err := m.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// cutAnywhere checks that the body is not understood when it ends too early or
// goes on too long.
func cutAnywhere(t *testing.T, body []byte, decode func([]byte) error) {
	t.Helper()
	if err := decode(body); err != nil {
		t.Fatalf("%q is not understood: %v", body, err)
	}
	for at := range body {
		if err := decode(body[:at:at]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q, cut from %q, is taken: %v", body[:at], body, err)
		}
	}
	if err := decode(append(bytes.Clone(body), 'x')); !errors.Is(err, ErrMalformed) {
		t.Errorf("%q with a byte more is taken: %v", body, err)
	}
}

func TestParse(t *testing.T) {
	in := pgproto3.Parse{Name: "s", Query: "SELECT $1, 'ü'", ParameterOIDs: []uint32{23, 0, 1<<32 - 1}}
	f := encode(t, &in)
	p, err := DecodeParse(f.Body())
	if err != nil || p.Name != in.Name || p.Query != in.Query || !slices.Equal(p.Types(), in.ParameterOIDs) {
		t.Errorf("got %+v with types %v, %v", p, p.Types(), err)
	}
	if got := p.Append(nil, in.Query); !bytes.Equal(got, f) {
		t.Errorf("written again: %q, want %q", got, f)
	}
	in.Query = "another"
	if got, want := p.Append([]byte("before"), in.Query), encode(t, &in); string(got) != "before"+string(want) {
		t.Errorf("with another text: %q, want %q", got, want)
	}
	cutAnywhere(t, f.Body(), func(b []byte) error { _, err := DecodeParse(b); return err })
	empty := encode(t, &pgproto3.Parse{})
	if p, err := DecodeParse(empty.Body()); err != nil || p.Name != "" || p.Query != "" || len(p.Types()) != 0 {
		t.Errorf("an empty one: %+v, %v", p, err)
	}
}

func TestBind(t *testing.T) {
	for name, in := range map[string]pgproto3.Bind{
		"empty":          {},
		"text":           {DestinationPortal: "p", PreparedStatement: "s", Parameters: [][]byte{[]byte("a"), nil, {}}},
		"one format":     {ParameterFormatCodes: []int16{1}, Parameters: [][]byte{{0, 1}, {2}}, ResultFormatCodes: []int16{1}},
		"format of each": {ParameterFormatCodes: []int16{0, 1, 0}, Parameters: [][]byte{{'1'}, {2}, nil}, ResultFormatCodes: []int16{0, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			f := encode(t, &in)
			b, err := DecodeBind(f.Body())
			if err != nil || b.Portal != in.DestinationPortal || b.Statement != in.PreparedStatement {
				t.Fatalf("got %+v, %v", b, err)
			}
			params, err := b.Parameters()
			if err != nil || len(params) != len(in.Parameters) {
				t.Fatalf("got %+v, %v", params, err)
			}
			for i, p := range params {
				if !bytes.Equal(p.Value, in.Parameters[i]) || (p.Value == nil) != (in.Parameters[i] == nil) {
					t.Errorf("parameter %d is %v, want %v", i+1, p.Value, in.Parameters[i])
				}
				want := int16(0)
				if n := len(in.ParameterFormatCodes); n == 1 {
					want = in.ParameterFormatCodes[0]
				} else if n > 1 {
					want = in.ParameterFormatCodes[i]
				}
				if p.Format != want {
					t.Errorf("parameter %d has format %d, want %d", i+1, p.Format, want)
				}
			}
			if got := b.ResultFormats(); !slices.Equal(got, in.ResultFormatCodes) {
				t.Errorf("result formats %v, want %v", got, in.ResultFormatCodes)
			}
			cutAnywhere(t, f.Body(), func(b []byte) error { _, err := DecodeBind(b); return err })
		})
	}
}

func TestBindRefusesWhatDoesNotAddUp(t *testing.T) {
	for name, values := range map[string]string{
		"two formats for three parameters": "\x00\x02\x00\x00\x00\x01\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00",
		"a length of minus two":            "\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00",
		"a length beyond the message":      "\x00\x00\x00\x01\x7f\xff\xff\xff\x00\x00",
		"65535 formats and nothing":        "\xff\xff",
	} {
		if _, err := DecodeBind([]byte("\x00\x00" + values)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSmallMessages(t *testing.T) {
	f := encode(t, &pgproto3.Execute{Portal: "p", MaxRows: 1<<32 - 1})
	if e, err := DecodeExecute(f.Body()); err != nil || e != (ExecuteMessage{Portal: "p", Rows: 1<<32 - 1}) {
		t.Errorf("Execute: %+v, %v", e, err)
	}
	cutAnywhere(t, f.Body(), func(b []byte) error { _, err := DecodeExecute(b); return err })

	for _, m := range []pgproto3.Message{&pgproto3.Describe{ObjectType: 'S', Name: "n"}, &pgproto3.Close{ObjectType: 'P', Name: "n"}} {
		f := encode(t, m)
		if target, err := DecodeTarget(f.Body()); err != nil || target.Name != "n" || target.Kind != f.Body()[0] {
			t.Errorf("%T: %+v, %v", m, target, err)
		}
		cutAnywhere(t, f.Body(), func(b []byte) error { _, err := DecodeTarget(b); return err })
	}
	if _, err := DecodeTarget([]byte("Xn\x00")); !errors.Is(err, ErrMalformed) {
		t.Errorf("a target that is neither statement nor portal: %v", err)
	}

	f = encode(t, &pgproto3.Query{String: "SELECT 1"})
	if sql, err := DecodeQuery(f.Body()); err != nil || sql != "SELECT 1" || !bytes.Equal(AppendQuery(nil, sql), f) {
		t.Errorf("Query: %q, %v", sql, err)
	}
	cutAnywhere(t, f.Body(), func(b []byte) error { _, err := DecodeQuery(b); return err })
	if _, err := DecodeQuery([]byte("SELECT 1\x00; DROP TABLE t\x00")); !errors.Is(err, ErrMalformed) {
		t.Errorf("a text with a zero byte in it: %v", err)
	}

	f = encode(t, &pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"})
	name, value, err := DecodeParameterStatus(f.Body())
	if err != nil || name != "TimeZone" || value != "UTC" || !bytes.Equal(AppendParameterStatus(nil, name, value), f) {
		t.Errorf("ParameterStatus: %q %q, %v", name, value, err)
	}
	cutAnywhere(t, f.Body(), func(b []byte) error { _, _, err := DecodeParameterStatus(b); return err })

	if got, want := AppendReady(nil, 'T'), encode(t, &pgproto3.ReadyForQuery{TxStatus: 'T'}); !bytes.Equal(got, want) {
		t.Errorf("ReadyForQuery: %q, want %q", got, want)
	}
	if got, want := AppendFrame([]byte("x"), CopyData, []byte("a"), nil, []byte("bc")), encode(t, &pgproto3.CopyData{Data: []byte("abc")}); string(got) != "x"+string(want) {
		t.Errorf("CopyData: %q, want %q", got, want)
	}
}

func TestOrigins(t *testing.T) {
	f := encode(t, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
		{Name: []byte("id"), TableOID: 1<<32 - 1, TableAttributeNumber: 7, DataTypeOID: 23, DataTypeSize: 4, TypeModifier: -1},
		{Name: []byte("?column?"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1, Format: 1},
		{Name: []byte("ctid"), TableOID: 5, TableAttributeNumber: 0xffff},
	}})
	got, err := DecodeOrigins(f.Body())
	want := []FieldOrigin{{"id", 1<<32 - 1, 7}, {"?column?", 0, 0}, {"ctid", 5, -1}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	cutAnywhere(t, f.Body(), func(b []byte) error { _, err := DecodeOrigins(b); return err })
}

// FuzzDecoders: whatever comes, decoders neither panic nor take more than there is,
// and what they take can be written again.
func FuzzDecoders(f *testing.F) {
	for _, m := range []pgproto3.Message{
		&pgproto3.Parse{Name: "s", Query: "SELECT 1", ParameterOIDs: []uint32{23}},
		&pgproto3.Bind{DestinationPortal: "p", ParameterFormatCodes: []int16{1}, Parameters: [][]byte{{1}, nil}, ResultFormatCodes: []int16{0, 1}},
		&pgproto3.Execute{Portal: "p", MaxRows: 3}, &pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Query{String: "SELECT 1"},
		&pgproto3.ParameterStatus{Name: "a", Value: "b"}, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("a")}}},
		&pgproto3.ErrorResponse{Severity: "ERROR", Code: "42501", Message: "no", Where: "here"},
	} {
		f.Add(encode(f, m).Body())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := DecodeParse(body); err == nil {
			if got := Frame(p.Append(nil, p.Query)); !bytes.Equal(got.Body(), body) {
				t.Errorf("Parse %q was written as %q", body, got.Body())
			}
			if want := (len(p.Tail) - 2) / 4; len(p.Types()) != want {
				t.Errorf("%d types, want %d", len(p.Types()), want)
			}
		}
		if b, err := DecodeBind(body); err == nil {
			if _, err := b.Parameters(); err != nil {
				t.Error(err)
			}
			b.ResultFormats()
			var theirs pgproto3.Bind
			if err := theirs.Decode(body); err == nil && (theirs.DestinationPortal != b.Portal || theirs.PreparedStatement != b.Statement) {
				t.Errorf("Bind %q names %q and %q to us", body, b.Portal, b.Statement)
			}
		}
		if sql, err := DecodeQuery(body); err == nil && string(body) != sql+"\x00" {
			t.Errorf("Query %q was read as %q", body, sql)
		}
		if name, value, err := DecodeParameterStatus(body); err == nil && string(body) != name+"\x00"+value+"\x00" {
			t.Errorf("ParameterStatus %q was read as %q, %q", body, name, value)
		}
		_, _ = DecodeExecute(body)
		_, _ = DecodeTarget(body)
		_, _ = DecodeOrigins(body)
		if r, err := DecodeReport(body); err == nil {
			again, err := DecodeReport(Frame(r.Append(nil, ErrorResponse)).Body())
			if err != nil || again.Code != r.Code || again.Message != r.Message || again.Detail != r.Detail || again.Hint != r.Hint {
				t.Errorf("report %q became %+v, %v", body, again, err)
			}
		}
	})
}
