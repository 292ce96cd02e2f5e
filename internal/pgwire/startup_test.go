package pgwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgx/v5/pgproto3"
)

// packet is a message without type byte.
func packet(code uint32, body string) []byte {
	wire := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(wire, code), body...)
}

func TestReadStartup(t *testing.T) {
	wire := encode(t, &pgproto3.StartupMessage{ProtocolVersion: Protocol30, Parameters: map[string]string{"user": "u"}})
	s, err := ReadStartup(iotest.OneByteReader(bytes.NewReader(wire)))
	if err != nil || s.Code != Protocol30 || s.Get("user") != "u" || s.Get("database") != "" {
		t.Errorf("got %+v, %v", s, err)
	}
	// Not a byte is read beyond: a TLS handshake may follow.
	for _, code := range []uint32{CodeSSL, CodeGSSENC} {
		src := bytes.NewReader(append(packet(code, ""), "handshake"...))
		s, err := ReadStartup(src)
		rest, _ := io.ReadAll(src)
		if err != nil || s.Code != code || string(rest) != "handshake" {
			t.Errorf("code %d: %+v, %v, left %q", code, s, err, rest)
		}
	}
	// Order and repetition are kept; the last one counts.
	s, err = ReadStartup(bytes.NewReader(packet(Protocol32, "user\x00a\x00user\x00b\x00empty\x00\x00\x00")))
	if err != nil || s.Code != Protocol32 || s.Get("user") != "b" || len(s.Params) != 3 || s.Params[2] != (StartupParam{"empty", ""}) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestReadStartupRefuses(t *testing.T) {
	huge := packet(Protocol30, strings.Repeat("x", MaxStartup))
	for name, c := range map[string]struct {
		wire []byte
		want error
	}{
		"nothing":                    {nil, io.EOF},
		"half a length":              {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"a length of seven":          {[]byte{0, 0, 0, 7, 0, 3, 0}, ErrFraming},
		"too long":                   {huge, ErrFraming},
		"an HTTP request":            {[]byte("GET / HTTP/1.1\r\n\r\n"), ErrFraming},
		"a TLS handshake":            {[]byte{0x16, 3, 1, 2, 0, 1, 0, 1}, ErrFraming},
		"cut":                        {packet(Protocol30, "user\x00u\x00\x00")[:12], io.ErrUnexpectedEOF},
		"no end of parameters":       {packet(Protocol30, "user\x00u\x00"), ErrMalformed},
		"nothing at all":             {packet(Protocol30, ""), ErrMalformed},
		"a name without value":       {packet(Protocol30, "user\x00"), ErrMalformed},
		"bytes after the end":        {packet(Protocol30, "user\x00u\x00\x00x"), ErrMalformed},
		"SSL with a body":            {packet(CodeSSL, "x"), ErrMalformed},
		"GSSENC with a body":         {packet(CodeGSSENC, "x"), ErrMalformed},
		"cancel without a key":       {packet(CodeCancel, "\x00\x00\x00\x01"), ErrMalformed},
		"cancel with half a key":     {packet(CodeCancel, "\x00\x00\x00\x01abc"), ErrMalformed},
		"cancel with a key too long": {packet(CodeCancel, "\x00\x00\x00\x01"+strings.Repeat("k", 257)), ErrMalformed},
	} {
		if s, err := ReadStartup(bytes.NewReader(c.wire)); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, s, err, c.want)
		}
	}
}

func TestCancelKeys(t *testing.T) {
	for _, secret := range []string{"abcd", strings.Repeat("k", 32), strings.Repeat("k", 256)} {
		k := CancelKey{Process: 1<<31 + 7, Secret: secret}
		s, err := ReadStartup(bytes.NewReader(packet(CodeCancel, "\x80\x00\x00\x07"+secret)))
		if err != nil || s.Code != CodeCancel || s.Key != k {
			t.Errorf("%d bytes: %+v, %v", len(secret), s, err)
		}
		if text := fmt.Sprintf("%v %s", k, k); strings.Contains(text, secret) {
			t.Errorf("the secret is printed: %s", text)
		}
		var b pgproto3.BackendKeyData
		f := Frame(AppendBackendKey(nil, k))
		if err := b.Decode(f.Body()); err != nil || b.ProcessID != k.Process || string(b.SecretKey) != secret {
			t.Errorf("BackendKeyData: %+v, %v", b, err)
		}
	}
}

func TestNegotiate(t *testing.T) {
	for name, c := range map[string]struct {
		code    uint32
		params  []StartupParam
		version uint32
		options []string
		answers bool
	}{
		"3.0":              {code: Protocol30, version: Protocol30},
		"3.2":              {code: Protocol32, version: Protocol32},
		"3.1":              {code: 3<<16 | 1, version: Protocol30, answers: true},
		"3.9":              {code: 3<<16 | 9, version: Protocol32, answers: true},
		"3.9999 (grease)":  {code: 3<<16 | 9999, version: Protocol32, answers: true},
		"options in 3.0":   {code: Protocol30, params: []StartupParam{{"user", "u"}, {"_pq_.a", "1"}, {"_pq_.b", ""}}, version: Protocol30, options: []string{"_pq_.a", "_pq_.b"}, answers: true},
		"options in 3.9":   {code: 3<<16 | 9, params: []StartupParam{{"_pq_.test", "x"}}, version: Protocol32, options: []string{"_pq_.test"}, answers: true},
		"not quite option": {code: Protocol30, params: []StartupParam{{"_pq_", "1"}, {"x_pq_.a", "1"}}, version: Protocol30},
	} {
		t.Run(name, func(t *testing.T) {
			version, answer, err := (&Startup{Code: c.code, Params: c.params}).Negotiate()
			if err != nil || version != c.version || (answer != nil) != c.answers {
				t.Fatalf("got %x, %q, %v", version, answer, err)
			}
			if answer == nil {
				return
			}
			var n pgproto3.NegotiateProtocolVersion
			if err := n.Decode(Frame(answer).Body()); err != nil || !slices.Equal(n.UnrecognizedOptions, c.options) {
				t.Errorf("the answer is %+v, %v", n, err)
			}
			// The whole version is sent, as PostgreSQL does.
			if got := binary.BigEndian.Uint32(Frame(answer).Body()); got != c.version {
				t.Errorf("the answer names version %x, want %x", got, c.version)
			}
		})
	}
	for _, code := range []uint32{0, 1 << 16, 2 << 16, 4 << 16, 1<<32 - 1} {
		if _, _, err := (&Startup{Code: code}).Negotiate(); err == nil {
			t.Errorf("version %x is negotiated", code)
		}
	}
}

func TestSplitOptions(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                 nil,
		"  \t\n ":                          nil,
		"-c a=b":                           {"-c", "a=b"},
		"  -c  a=b --x=y ":                 {"-c", "a=b", "--x=y"},
		`-c reason=why\ I\ ask`:            {"-c", "reason=why I ask"},
		`a\\b`:                             {`a\b`},
		`\ `:                               {" "},
		`trailing\`:                        {`trailing\`},
		"a\vb\fc\rd":                       {"a", "b", "c", "d"},
		`-c search_path="a\ b",c`:          {"-c", `search_path="a b",c`},
		"-cstatement_timeout=5s -c x=\\\\": {"-cstatement_timeout=5s", "-c", `x=\`},
	} {
		if got := SplitOptions(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzReadStartup(f *testing.F) {
	f.Add(packet(Protocol30, "user\x00u\x00options\x00-c a=b\x00\x00"))
	f.Add(packet(CodeCancel, "\x00\x00\x00\x01abcd"))
	f.Add(packet(3<<16|9, "_pq_.x\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		src := bytes.NewReader(in)
		s, err := ReadStartup(src)
		if err != nil {
			return
		}
		if read := len(in) - src.Len(); read != int(binary.BigEndian.Uint32(in)) {
			t.Errorf("%d bytes were read of a packet of %d", read, binary.BigEndian.Uint32(in))
		}
		if s.Code == CodeCancel && len(s.Key.Secret) < 4 {
			t.Errorf("a cancel request with a key of %d bytes", len(s.Key.Secret))
		}
		if version, answer, err := s.Negotiate(); err == nil {
			if version != Protocol30 && version != Protocol32 {
				t.Errorf("version %x was negotiated", version)
			}
			if answer == nil && version != s.Code {
				t.Error("another version was negotiated in silence")
			}
		}
		for _, word := range SplitOptions(s.Get("options")) {
			if word == "" {
				t.Error("an empty word")
			}
		}
	})
}
