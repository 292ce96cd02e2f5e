package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestExampleLoads(t *testing.T) {
	content, err := os.ReadFile("../../docs/sallyport.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	dsn := filepath.Join(dir, "dsn")
	if err := os.WriteFile(dsn, []byte("postgres://app:x@db.example/shop?sslmode=verify-full\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	placed := strings.NewReplacer(
		"/run/secrets/sallyport/dsn", dsn, "/run/secrets/sallyport/catalog-dsn", dsn, "/etc/sallyport/policies", dir,
	).Replace(string(content))
	c := load(t, placed)
	if len(c.Listen) != 3 || len(c.Identity.Issuers) != 3 || c.Identity.Workloads[0].Name != "schema-agent" || c.Audit.Statements != "normalized" {
		t.Errorf("not all of the example was read: %+v", c)
	}
}

// TestEverySettingIsDocumented keeps the example and the reference from falling
// behind the packages whose settings they show.
func TestEverySettingIsDocumented(t *testing.T) {
	example, err := os.ReadFile("../../docs/sallyport.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reference, err := os.ReadFile("../../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(reflect.TypeFor[Config](), map[string]bool{})
	if len(keys) < 50 {
		t.Fatalf("only %d settings found", len(keys))
	}
	for key := range keys {
		if !regexp.MustCompile(`(?m)(^|[\s{#-])` + key + `:`).Match(example) {
			t.Errorf("%s is not in docs/sallyport.example.yaml", key)
		}
		if !strings.Contains(string(reference), "`"+key+"`") {
			t.Errorf("%s is not in docs/CONFIGURATION.md", key)
		}
	}
}

func keysOf(of reflect.Type, keys map[string]bool) map[string]bool {
	switch {
	case of.Kind() == reflect.Pointer, of.Kind() == reflect.Slice:
		return keysOf(of.Elem(), keys)
	case of.Kind() != reflect.Struct || of == secretType:
		return keys
	}
	fields := map[string]reflect.Value{}
	for _, key := range gatherFields(reflect.New(of).Elem(), fields, nil) {
		keys[key] = true
		keysOf(fields[key].Type(), keys)
	}
	return keys
}
