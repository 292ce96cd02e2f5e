package pgwire

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Codes of the messages that have no type byte.
const (
	CodeCancel uint32 = 80877102
	CodeSSL    uint32 = 80877103
	CodeGSSENC uint32 = 80877104

	Protocol30 uint32 = 3 << 16
	Protocol32 uint32 = 3<<16 | 2
)

// MaxStartup is the largest startup packet PostgreSQL accepts, in bytes.
const MaxStartup = 10000

// Startup is the first message of a connection.
type Startup struct {
	Code   uint32 // a protocol version or one of the codes
	Params []StartupParam
	Key    CancelKey // of a cancel request
}

// StartupParam is a name and its value, in the order sent.
type StartupParam struct{ Name, Value string }

// Get returns the value of the last parameter of that name.
func (s *Startup) Get(name string) string {
	for i := len(s.Params) - 1; i >= 0; i-- {
		if s.Params[i].Name == name {
			return s.Params[i].Value
		}
	}
	return ""
}

// CancelKey identifies a session to a cancel request.
type CancelKey struct {
	Process uint32
	Secret  string // 4 bytes in protocol 3.0, up to 256 in 3.2
}

// String keeps the secret out of logs.
func (k CancelKey) String() string { return fmt.Sprintf("%d:[redacted]", k.Process) }

// ReadStartup reads a message without type byte directly from the connection,
// not a byte more, so that a TLS handshake may follow.
func ReadStartup(r io.Reader) (*Startup, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 8 || n > MaxStartup {
		return nil, ErrFraming
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return nil, err
	}
	body := make([]byte, n-8)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	s := &Startup{Code: binary.BigEndian.Uint32(head[4:])}
	switch s.Code {
	case CodeSSL, CodeGSSENC:
		if len(body) != 0 {
			return nil, ErrMalformed
		}
		return s, nil
	case CodeCancel:
		if len(body) < 8 || len(body) > 4+256 {
			return nil, ErrMalformed
		}
		s.Key = CancelKey{Process: binary.BigEndian.Uint32(body), Secret: string(body[4:])}
		return s, nil
	default:
		return s, s.params(body)
	}
}

func (s *Startup) params(body []byte) error {
	for {
		name, rest, ok := cstring(body)
		if !ok {
			return ErrMalformed
		}
		if name == "" {
			if len(rest) != 0 {
				return ErrMalformed
			}
			return nil
		}
		value, rest, ok := cstring(rest)
		if !ok {
			return ErrMalformed
		}
		s.Params = append(s.Params, StartupParam{name, value})
		body = rest
	}
}

// Negotiate settles the protocol version: the one asked for, or the newest of 3.0
// and 3.2 that is not newer. answer is the NegotiateProtocolVersion message to
// send when the client asked for another version or for protocol options, nil
// otherwise. A major version other than 3 is not negotiable.
func (s *Startup) Negotiate() (version uint32, answer []byte, err error) {
	major, minor := s.Code>>16, s.Code&0xffff
	if major != 3 {
		return 0, nil, fmt.Errorf("protocol version %d.%d is not supported: use 3.0 or 3.2", major, minor)
	}
	version = Protocol30
	if minor >= 2 {
		version = Protocol32
	}
	var options []string
	for _, p := range s.Params {
		if strings.HasPrefix(p.Name, "_pq_.") {
			options = append(options, p.Name)
		}
	}
	if version == s.Code && len(options) == 0 {
		return version, nil, nil
	}
	var body []byte
	body = binary.BigEndian.AppendUint32(body, version)
	body = binary.BigEndian.AppendUint32(body, uint32(len(options)))
	for _, o := range options {
		body = append(append(body, o...), 0)
	}
	return version, AppendFrame(nil, NegotiateVer, body), nil
}

// SplitOptions splits the startup parameter "options" into words as the server
// does: at white space, a backslash taking the next character as it is.
func SplitOptions(options string) []string {
	var words []string
	var word strings.Builder
	in := false
	for i := 0; i < len(options); i++ {
		c := options[i]
		switch {
		case c == '\\' && i+1 < len(options):
			i++
			word.WriteByte(options[i])
			in = true
		case c == ' ' || (c >= '\t' && c <= '\r'):
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words
}

// AppendBackendKey appends BackendKeyData.
func AppendBackendKey(dst []byte, k CancelKey) []byte {
	return AppendFrame(dst, BackendKey, binary.BigEndian.AppendUint32(nil, k.Process), []byte(k.Secret))
}
