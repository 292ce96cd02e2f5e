package config

import (
	"errors"
	"fmt"
	"io"
)

const redacted = "[redacted]"

// Secret is a string that no print, log line or encoder shows. The value sits
// behind a pointer, so that not even a struct that holds a Secret in an
// unexported field shows it by %+v.
type Secret struct{ value *string }

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{value: &s} }

// Reveal gives the value to whoever has to present it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is nothing to hide.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

func (s Secret) String() string { return redacted }

// Format covers every verb, those for which String is not asked included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText covers JSON, YAML, XML and map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText is refused: a Secret comes from a file that Load has read.
func (s *Secret) UnmarshalText([]byte) error {
	return errors.New("a secret is read by config.Load only")
}
