package devenv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// Names in the directory of an environment.
const (
	configFile  = "sallyport.yaml"
	envFile     = "dev.env"
	secretsDir  = "secrets"
	policiesDir = "policies"
	stateDir    = "state"
)

// prepareDir makes the directory. State of an earlier run goes: its windows were
// opened to a database that is gone. Policies stay, they may have been edited.
func prepareDir(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, stateDir)); err != nil {
		return err
	}
	for _, d := range []string{dir, filepath.Join(dir, secretsDir), filepath.Join(dir, stateDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// placePolicies gives the directory of the policies that are in force: the one
// that was asked for, or a copy of the shipped ones to edit.
func placePolicies(dir string, o Options) (string, error) {
	if o.Policies != "" {
		path, err := filepath.Abs(o.Policies)
		if err != nil {
			return "", err
		}
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			return "", fmt.Errorf("policies: %s is not a directory that can be read", path)
		}
		return path, nil
	}
	path := filepath.Join(dir, policiesDir)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if o.ShippedPolicies == nil {
		return "", errors.New("no policies: name a directory of them")
	}
	return path, copyTree(o.ShippedPolicies, path)
}

// copyTree makes every file writable by its owner, which embedded files are not.
func copyTree(from fs.FS, to string) error {
	return fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(to, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(path, 0o700)
		}
		if strings.HasSuffix(name, ".go") {
			return nil // what embeds them is no policy
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		return os.WriteFile(path, content, 0o600)
	})
}

var configTemplate = template.Must(template.New(configFile).Funcs(template.FuncMap{"q": quoteYAML}).Parse(
	`# Written by sallyport dev, and again at each start.
listen:
  - address: {{q .Listen}}
admin:
  address: {{q .Admin}}
connections:
  - name: {{q .Connection}}
    dsn: ${file:secrets/upstream.dsn}
{{- if .CatalogDSN}}
    catalog_dsn: ${file:secrets/catalog.dsn}
{{- end}}
    labels: {environment: development}
issuers:
  - name: {{q .IssuerName}}
    preset: entra
    tenant: {{q .Tenant}}
    issuer: {{q .IssuerURL}}
    audiences: [{{q .Audience}}]
workloads:
{{- range .Registry}}
  - {issuer: {{q $.IssuerName}}, subject: {{q .Subject}}, name: {{q .Name}}, owner: {{q .Owner}}, kind: {{q .Kind}}}
{{- end}}
policies:
  directory: {{q .Policies}}
state:
  path: state/sallyport.db
audit:
  path: state/audit.jsonl
  statements: full
`))

// quoteYAML writes a double-quoted scalar; JSON's form is one.
func quoteYAML(s string) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(s)
	// A reference in a name or path would be expanded by who reads the file.
	return strings.ReplaceAll(strings.TrimSpace(out.String()), "${", "$${"), err
}

// writeFiles writes what the sidecar and people read.
func (e *Environment) writeFiles() error {
	secrets := map[string]string{"upstream.dsn": e.database.dsn}
	if e.database.catalogDSN != "" {
		secrets["catalog.dsn"] = e.database.catalogDSN
	}
	for name, secret := range secrets {
		if err := os.WriteFile(filepath.Join(e.Dir, secretsDir, name), []byte(secret+"\n"), 0o600); err != nil {
			return err
		}
	}
	var config bytes.Buffer
	err := configTemplate.Execute(&config, map[string]any{
		"Listen": e.Listen, "Admin": e.Admin, "Connection": Connection, "CatalogDSN": e.database.catalogDSN != "",
		"IssuerName": IssuerName, "Tenant": e.issuer.Tenant(), "IssuerURL": e.IssuerURL, "Audience": e.issuer.Audience(),
		"Registry": registry(e.issuer.Clients()), "Policies": e.Policies,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(e.Config, config.Bytes(), 0o600); err != nil {
		return err
	}
	if err := e.issuer.File().Write(e.Dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.Dir, envFile), []byte(e.env()), 0o600)
}

// env is a file that shells can source and anything can read line by line.
func (e *Environment) env() string {
	var b strings.Builder
	for _, v := range e.variables() {
		fmt.Fprintf(&b, "%s=%s\n", v.name, quoteShell(v.value))
	}
	return b.String()
}

// quoteShell leaves plain values unquoted, for readers that are not shells.
func quoteShell(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@%+=:,./?-", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
