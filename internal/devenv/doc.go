// Package devenv is the embedded default: a throwaway PostgreSQL, an OIDC issuer
// and sample data.
package devenv
