package config

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// dsns looks at what a connection says of its server. No complaint quotes a
// connection string: it holds the credential.
func (v *validator) dsns(path string, c Connection) {
	if c.DSN.IsZero() {
		v.at(path+".dsn", "%s.dsn is missing: give a PostgreSQL URL such as ${file:/run/secrets/dsn}", path)
		return
	}
	server := v.dsn(path+".dsn", c.DSN)
	if c.CatalogDSN.IsZero() {
		return
	}
	catalog := v.dsn(path+".catalog_dsn", c.CatalogDSN)
	if server != nil && catalog != nil && server.Database != catalog.Database {
		v.at(path+".catalog_dsn", "%s.catalog_dsn reads the catalog of database %q, and dsn runs statements in %q", path, catalog.Database, server.Database)
	}
}

func (v *validator) dsn(path string, dsn Secret) *pgconn.Config {
	parsed, err := pgconn.ParseConfig(dsn.Reveal())
	if err != nil {
		v.at(path, "%s is not understood: %s", path, withoutDSN(err))
		return nil
	}
	if parsed.Database == "" {
		v.at(path, "%s names no database", path)
	}
	if parsed.User == "" {
		v.at(path, "%s names no user", path)
	}
	// The default, prefer, takes any certificate and falls back to plain text.
	if !local(parsed) && !saysSSLMode(dsn.Reveal()) {
		v.at(path, "%s does not say its sslmode: add sslmode=verify-full, or knowingly a weaker one", path)
	}
	return parsed
}

// withoutDSN gives what is wrong with a connection string without any of it:
// the parser's own message is only redacted as well as it can be.
func withoutDSN(err error) string {
	if errors.Is(err, os.ErrNotExist) {
		return "a file it names does not exist"
	}
	return "write postgres://user:password@host:port/database?sslmode=verify-full, with special characters of the password percent-encoded, or key=value pairs; sslmode, port and timeouts must be valid"
}

func local(c *pgconn.Config) bool {
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	return !slices.ContainsFunc(hosts, func(host string) bool {
		return !strings.HasPrefix(host, "/") && !loopback(host+":0") && !loopback("["+host+"]:0")
	})
}

var sslMode = regexp.MustCompile(`(?:^|[?&\s])sslmode\s*=`)

func saysSSLMode(dsn string) bool {
	return sslMode.MatchString(dsn) || os.Getenv("PGSSLMODE") != ""
}
