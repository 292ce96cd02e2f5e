package identity_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/identity"
)

func TestValidateComplainsOfEverythingAtOnce(t *testing.T) {
	var cases []struct {
		Name   string
		Config identity.Config
		Want   []string
	}
	strictly(t, readFile(t, "configs.yaml"), &cases)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got := c.Config.Validate()
			for n, complaint := range got {
				if n >= len(c.Want) || !strings.HasPrefix(complaint.String(), c.Want[n]) {
					t.Errorf("unexpected, as number %d: %s", n, complaint)
				}
			}
			if len(got) < len(c.Want) {
				t.Errorf("missing: %q", c.Want[len(got):])
			}
			if len(c.Want) == 0 {
				return // New would ask issuers in the world outside
			}
			if _, err := identity.New(t.Context(), c.Config, nil); err == nil || !strings.Contains(err.Error(), c.Want[0]) {
				t.Errorf("New says %v, want the complaints", err)
			}
		})
	}
}

func TestNewRefusesRootsThatAreNone(t *testing.T) {
	for name, file := range map[string]string{"no file": "no-such-file.pem", "no certificate": "../../testdata/identity/configs.yaml"} {
		t.Run(name, func(t *testing.T) {
			_, err := identity.New(t.Context(), identity.Config{Issuers: []identity.IssuerConfig{
				{Name: "a", Preset: "github", Audiences: []string{"a"}, CAFile: file},
			}}, nil)
			if err == nil || !strings.Contains(err.Error(), "ca_file") {
				t.Errorf("got %v, want an error about ca_file", err)
			}
		})
	}
}
