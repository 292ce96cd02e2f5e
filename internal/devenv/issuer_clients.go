package devenv

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The kinds of client.
const (
	ClientWorkload = "workload" // the default
	ClientUser     = "user"
)

// ClientSecret is a client's password at the issuer. It prints as [redacted].
type ClientSecret string

func (ClientSecret) String() string { return redactedSecret }

// Format covers every verb of fmt.
func (ClientSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedSecret) }

func (ClientSecret) MarshalText() ([]byte, error) { return []byte(redactedSecret), nil }

const redactedSecret = "[redacted]"

// Client is somebody who can have tokens.
type Client struct {
	ID      string
	Secret  ClientSecret
	Subject string // sub and oid of its tokens; default ID
	Kind    string // ClientWorkload or ClientUser
	Name    string // display name
	Groups  []string
	Roles   []string
	Claims  map[string]any
}

// NewClientSecret makes one at random.
func NewClientSecret() ClientSecret { return ClientSecret(rand.Text()) }

// DefaultClients are those of the demo, with fresh secrets. Of the workloads, stranger is meant to be in no registry.
func DefaultClients() []Client {
	return []Client{
		{ID: "schema-agent", Secret: NewClientSecret(), Kind: ClientWorkload, Name: "Schema agent", Groups: []string{"jit-schema-checks"}},
		{ID: "support-agent", Secret: NewClientSecret(), Kind: ClientWorkload, Name: "Support agent", Groups: []string{"support-agents"}},
		{ID: "data-fixer", Secret: NewClientSecret(), Kind: ClientWorkload, Name: "Data fixer", Groups: []string{"data-fixers"}},
		{ID: "stranger", Secret: NewClientSecret(), Kind: ClientWorkload, Name: "Stranger"},
		{ID: "alice", Secret: NewClientSecret(), Kind: ClientUser, Name: "Alice", Groups: []string{"dba-oncall", "support-leads"}},
		{ID: "bob", Secret: NewClientSecret(), Kind: ClientUser, Name: "Bob", Groups: []string{"support-leads"}},
	}
}

const issuerFileName = "issuer.json"

// IssuerFile is what another process needs to ask a running issuer for tokens.
type IssuerFile struct {
	TokenURL     string
	Secrets      map[string]ClientSecret // by client
	SharedSecret ClientSecret            // for any other client; empty: there are no others
}

// storedIssuer is an IssuerFile on disk, where the secrets must be legible.
type storedIssuer struct {
	TokenURL     string            `json:"token_url"`
	Secrets      map[string]string `json:"secrets"`
	SharedSecret string            `json:"shared_secret"`
}

// File says how other processes ask the issuer.
func (i *Issuer) File() IssuerFile {
	file := IssuerFile{TokenURL: i.TokenURL(), Secrets: map[string]ClientSecret{}}
	for _, client := range i.options.Clients {
		file.Secrets[client.ID] = client.Secret
	}
	if i.options.AllowAny {
		file.SharedSecret = i.options.SharedSecret
	}
	return file
}

// Secret returns the secret under which the client can have a token.
func (f IssuerFile) Secret(client string) (ClientSecret, error) {
	if secret, known := f.Secrets[client]; known {
		return secret, nil
	}
	if f.SharedSecret == "" {
		return "", fmt.Errorf("the dev issuer knows no client %q", client)
	}
	return f.SharedSecret, nil
}

// Write puts the file into dir, legible to its owner only, and whole or not at all.
func (f IssuerFile) Write(dir string) error {
	stored := storedIssuer{TokenURL: f.TokenURL, Secrets: map[string]string{}, SharedSecret: string(f.SharedSecret)}
	for client, secret := range f.Secrets {
		stored.Secrets[client] = string(secret)
	}
	data, err := json.MarshalIndent(stored, "", "  ")
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, issuerFileName+".*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("writing the dev issuer's secrets: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(data)
	if closing := temporary.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(temporary.Name(), filepath.Join(dir, issuerFileName))
	}
	if err != nil {
		return fmt.Errorf("writing the dev issuer's secrets: %w", err)
	}
	return nil
}

// ReadIssuerFile reads what Write wrote.
func ReadIssuerFile(dir string) (IssuerFile, error) {
	data, err := os.ReadFile(filepath.Join(dir, issuerFileName))
	if err != nil {
		return IssuerFile{}, fmt.Errorf("reading the dev issuer's secrets (is sallyport dev running?): %w", err)
	}
	var stored storedIssuer
	if err := json.Unmarshal(data, &stored); err != nil {
		return IssuerFile{}, fmt.Errorf("reading the dev issuer's secrets: %w", err)
	}
	file := IssuerFile{TokenURL: stored.TokenURL, Secrets: map[string]ClientSecret{}, SharedSecret: ClientSecret(stored.SharedSecret)}
	for client, secret := range stored.Secrets {
		file.Secrets[client] = ClientSecret(secret)
	}
	return file, nil
}
