// Package config reads one YAML file, strictly, into what each package needs to know.
package config

import (
	"time"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/identity"
)

// Config is what `sallyport serve --config` reads. Paths in it that are not
// absolute start at the directory of the file. Every value may contain
// ${env:NAME} and ${file:/path}.
type Config struct {
	// Listen says where clients connect. At least one is needed.
	Listen []Listener `yaml:"listen"`
	// Admin is the operators' and approvers' HTTP API.
	Admin Admin `yaml:"admin"`
	// Connections are the databases. At least one is needed.
	Connections []Connection `yaml:"connections"`
	// Identity gives the keys issuers and workloads.
	Identity identity.Config `yaml:",inline"`
	// Policies says which policies decide.
	Policies Policies `yaml:"policies"`
	// State keeps grants and approvals across restarts.
	State State `yaml:"state"`
	// Audit is the record of decisions.
	Audit audit.Config `yaml:"audit"`
	// Limits bound what a client may cost.
	Limits Limits `yaml:"limits"`
	// Log is what operators read of the process itself.
	Log Log `yaml:"log"`
}

// Listener is one place where clients connect: an address or a Unix socket.
type Listener struct {
	// Address is host:port. Clients send their token as a password, so an address
	// that is not loopback needs TLS.
	Address string `yaml:"address"`
	// Unix is a directory, in which the socket gets PostgreSQL's name
	// (.s.PGSQL.5432), or the path of the socket.
	Unix string `yaml:"unix"`
	// TLS is what the address is served with.
	TLS *TLS `yaml:"tls"`
}

// TLS is a certificate with its key, as PEM files, read again when they change.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// Required refuses clients that do not ask for TLS. Default true; false is
	// possible on loopback only.
	Required bool `yaml:"required"`
}

func (t *TLS) setDefaults() { t.Required = true }

// Admin is the operators' and approvers' HTTP API.
type Admin struct {
	// Address is host:port, loopback unless TLS is given. Default 127.0.0.1:6433.
	Address string `yaml:"address"`
	TLS     *TLS   `yaml:"tls"`
	// Probes is one more host:port, plain and on any address, that answers
	// /livez, /readyz and /metrics and nothing else: a kubelet asks from outside
	// of the pod. Default none.
	Probes string `yaml:"probes"`
}

// Connection is one database, under the name that bindings, grants and clients
// use. It holds the credential, so that the agent holds none.
type Connection struct {
	// Name is lower-case letters, digits, dots, hyphens and underscores.
	Name string `yaml:"name"`
	// DSN is a PostgreSQL URL or key=value string. Unless the server is reached
	// by loopback or a Unix socket it must say its sslmode.
	DSN Secret `yaml:"dsn"`
	// CatalogDSN is the login that reads the catalog. Default: DSN.
	CatalogDSN Secret `yaml:"catalog_dsn"`
	// Labels are shown to policies.
	Labels map[string]string `yaml:"labels"`
	// SearchPath is pinned for each session. Default: what the server says for the login.
	SearchPath []string `yaml:"search_path"`
}

// Policies says which policies decide: a directory, an OPA configuration, or
// the directory with what the configuration adds.
type Policies struct {
	// Directory holds a bundle as files. It is watched; a change governs the next statement.
	Directory string `yaml:"directory"`
	// OPA is an OPA configuration file with services, bundles, keys and the like.
	OPA string `yaml:"opa"`
}

// State keeps grants and approvals across restarts.
type State struct {
	// Path is an SQLite database, made when missing. Needed.
	Path string `yaml:"path"`
}

// Limits bound what a client may cost. Zero is not "no limit" unless it is said.
type Limits struct {
	// StatementBytes and StatementTokens bound what is given to the parser, which
	// bounds the depth besides. Default 1 MiB and 200000.
	StatementBytes  int `yaml:"statement_bytes"`
	StatementTokens int `yaml:"statement_tokens"`
	// MessageBytes bounds one protocol message that is kept whole. Default 64 MiB.
	MessageBytes int `yaml:"message_bytes"`
	// PreauthBytes bounds each message before the client is known. Default 64 KiB,
	// which is room for a token.
	PreauthBytes int `yaml:"preauth_bytes"`
	// Sessions is how many clients at once. Default 1000.
	Sessions int `yaml:"sessions"`
	// LoginTimeout ends a connection that has not said who it is. Default 30s.
	LoginTimeout time.Duration `yaml:"login_timeout"`
	// DrainTimeout is how long running statements may take to end at shutdown. Default 20s.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	// ApprovalWait is how long a statement is held for a person at most; a policy's
	// max_wait may shorten it. Default 1m, at most 2m.
	ApprovalWait time.Duration `yaml:"approval_wait"`
	// IdleTimeout ends a session that sends nothing. Default 0: never.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
}

// Log is what operators read of the process itself. It never holds a statement's
// values, a token or a credential.
type Log struct {
	// Level is trace, debug, info, warn or error. Default info.
	Level string `yaml:"level"`
	// Format is json, console, or auto: console on a terminal and json elsewhere.
	// Default auto.
	Format string `yaml:"format"`
}

// Most that a setting may be.
const (
	maxApprovalWait = 2 * time.Minute
	maxMessageBytes = 1 << 30 // PostgreSQL's own
)

func (c *Config) setDefaults() {
	c.Admin.Address = "127.0.0.1:6433"
	c.Limits = Limits{
		StatementBytes: 1 << 20, StatementTokens: 200_000,
		MessageBytes: 64 << 20,
		PreauthBytes: 64 << 10,
		Sessions:     1000,
		LoginTimeout: 30 * time.Second,
		DrainTimeout: 20 * time.Second,
		ApprovalWait: time.Minute,
	}
	c.Log = Log{Level: "info", Format: "auto"}
}
