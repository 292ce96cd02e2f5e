package identity

import (
	"time"

	"github.com/rs/zerolog"
)

// Config names the issuers whose tokens are accepted and the workloads that are known. Its zero value accepts nothing.
type Config struct {
	Issuers       []IssuerConfig `yaml:"issuers"`
	Workloads     []Workload     `yaml:"workloads"`
	MaxTokenBytes int            `yaml:"max_token_bytes"` // 0: 16 KiB
	Log           zerolog.Logger `yaml:"-"`
}

// IssuerConfig is one issuer: one tenant, one set of keys.
type IssuerConfig struct {
	Name      string   `yaml:"name"`   // as policies and bindings call it
	Preset    string   `yaml:"preset"` // entra kubernetes github gitlab spiffe okta google generic
	Issuer    string   `yaml:"issuer"` // exact iss; entra, github and google know their own
	Aliases   []string `yaml:"aliases"`
	Tenant    string   `yaml:"tenant"` // entra: the directory's GUID
	Audiences []string `yaml:"audiences"`

	Algorithms        []string `yaml:"algorithms"`         // default RS256 ES256 PS256 EdDSA
	AuthorizedParties []string `yaml:"authorized_parties"` // clients (azp, appid, cid) that may have asked for the token; empty: any
	// RequireApp lets in only tokens that say idtyp=app. It is off by default because the people who approve present tokens of
	// the same issuer; a workload is named by its own object id, which no person's token carries.
	RequireApp bool   `yaml:"require_app"`
	Kind       string `yaml:"kind"` // workload or user, for issuers whose tokens do not say; else the registry decides

	MaxTokenAge time.Duration `yaml:"max_token_age"` // from iat; 0: no limit beside the lifetime
	MaxLifetime time.Duration `yaml:"max_lifetime"`  // from iat to exp; 0: 24h (entra 29h, for its long-lived tokens)
	Leeway      time.Duration `yaml:"leeway"`        // past exp; at most 60s

	Claims ClaimMapping `yaml:"claims"`

	JWKSURL       string        `yaml:"jwks_url"`        // default: by discovery
	KeysTokenFile string        `yaml:"keys_token_file"` // bearer token for fetching the keys (kubernetes)
	CAFile        string        `yaml:"ca_file"`         // roots for the issuer's certificate instead of the system's
	KeyRefresh    time.Duration `yaml:"key_refresh"`     // 0: 1h
	KeyMaxStale   time.Duration `yaml:"key_max_stale"`   // 0: 24h; keys older than this verify nothing
	Timeout       time.Duration `yaml:"timeout"`         // of one request to the issuer; 0: 5s
}

// ClaimMapping says which claim holds what. A value that starts with a slash is a path into nested claims, like
// /realm_access/roles. What is empty is as the preset has it.
type ClaimMapping struct {
	Subject string `yaml:"subject"`
	Groups  string `yaml:"groups"`
	Roles   string `yaml:"roles"`
	Name    string `yaml:"name"` // display only
	Tenant  string `yaml:"tenant"`
}

// Workload is an entry of the registry of known identities.
type Workload struct {
	Issuer  string `yaml:"issuer"` // name of the issuer in this configuration
	Subject string `yaml:"subject"`
	Name    string `yaml:"name"`
	Owner   string `yaml:"owner"`
	Kind    string `yaml:"kind"` // workload (default) or user
}
