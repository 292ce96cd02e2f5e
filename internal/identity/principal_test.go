package identity_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/internal/identity"
)

func TestTokenCannotBePrinted(t *testing.T) {
	token := identity.Token("eyJsecret")
	held := struct{ Token identity.Token }{token}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", token, held, &held)
	}
	fmt.Fprintln(&out, token, []identity.Token{token}, map[identity.Token]identity.Token{token: token}, fmt.Errorf("with %v", token))
	log := zerolog.New(&out)
	log.Info().Interface("a", token).Interface("b", held).Stringer("c", token).Any("d", []identity.Token{token}).Msg("")
	slog.New(slog.NewTextHandler(&out, nil)).Info("", "a", token, "b", held)
	asJSON, err := json.Marshal([]any{token, held})
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(held)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(asJSON)
	out.Write(asYAML)
	for _, spelt := range []string{"secret", "736563726574"} {
		if strings.Contains(strings.ToLower(out.String()), spelt) {
			t.Errorf("the token is printed: %s", out.String())
		}
	}
}

func TestKeysOfDifferentPartiesDiffer(t *testing.T) {
	parties := []identity.Principal{
		{Issuer: "a", Tenant: "b", Subject: "c"},
		{Issuer: "a", Tenant: "b/c", Subject: ""},
		{Issuer: "a", Tenant: "", Subject: "b/c"},
		{Issuer: "a/b", Tenant: "", Subject: "c"},
		{Issuer: "a", Tenant: "b", Subject: "%63"},
		{Issuer: "a", Tenant: "b%2Fc", Subject: ""},
		{Issuer: "a", Tenant: "", Subject: "C"},
	}
	seen := map[string]identity.Principal{}
	for _, p := range parties {
		if other, taken := seen[p.Key()]; taken {
			t.Errorf("%+v and %+v have the key %q", p, other, p.Key())
		}
		seen[p.Key()] = p
	}
}

func TestNobodyIsExpired(t *testing.T) {
	var nobody *identity.Principal
	if !nobody.Expired(noon) || !(&identity.Principal{}).Expired(noon) {
		t.Error("a principal without a token is not expired")
	}
}
