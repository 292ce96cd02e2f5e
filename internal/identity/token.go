package identity

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Token is a bearer token as a client presented it. It cannot be printed, logged or marshalled by accident; whoever needs
// its text must convert it to a string where everybody can see it.
type Token string

func (Token) String() string { return redacted }

func (Token) GoString() string { return redacted }

// Format covers every verb, also those (%x, %d) for which fmt would not ask String.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func (Token) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

func (Token) MarshalYAML() (any, error) { return redacted, nil }

func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }
