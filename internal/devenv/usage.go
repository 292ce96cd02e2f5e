package devenv

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

type variable struct{ name, value string }

// variables is what dev.env says.
func (e *Environment) variables() []variable {
	vars := []variable{
		{"DEV_DIR", e.Dir},
		{"SALLYPORT_CONFIG", e.Config},
		{"POLICIES_DIR", e.Policies},
		{"PROXY_DSN", e.ProxyDSN},
		{"DIRECT_DSN", e.database.dsn},
	}
	if e.database.superDSN != "" {
		vars = append(vars, variable{"SUPERUSER_DSN", e.database.superDSN})
	}
	return append(vars,
		variable{"CONNECTION", Connection},
		variable{"ADMIN_URL", e.AdminURL},
		variable{"ISSUER_URL", e.IssuerURL},
		variable{"TOKEN_URL", e.TokenURL},
		variable{"AUDIENCE", e.issuer.Audience()},
		variable{"CLIENT_SECRET", string(e.issuer.File().SharedSecret)}, // good for any client id
	)
}

// WriteUsage tells how to use the environment. It shows no secret.
func (e *Environment) WriteUsage(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nsallyport is between %s and %s.\n", e.Listen, e.describeDatabase())
	fmt.Fprintf(&b, "\n  settings for your shell   source %s\n", filepath.Join(e.Dir, envFile))
	fmt.Fprintf(&b, "  configuration             %s\n", e.Config)
	fmt.Fprintf(&b, "  policies, edit them live  %s\n", e.Policies)
	fmt.Fprintf(&b, "  record of decisions       %s\n", filepath.Join(e.Dir, stateDir, "audit.jsonl"))
	fmt.Fprintf(&b, "  issuer                    %s\n", e.IssuerURL)
	fmt.Fprintf(&b, "  admin API                 %s\n", e.AdminURL)
	b.WriteString("\nWho there is:\n")
	for _, c := range e.issuer.Clients() {
		fmt.Fprintf(&b, "  %-14s %s\n", c.ID, about[c.ID])
	}
	b.WriteString(`
Try, in another shell:
  source ` + filepath.Join(e.Dir, envFile) + `
  sallyport request --connection $CONNECTION --reason "weekly schema check" --token "$(sallyport dev token --client schema-agent)"
  PGPASSWORD=$(sallyport dev token --client schema-agent) psql "$PROXY_DSN" -c '\d'
  psql "$DIRECT_DSN"      # the same database, with nothing in between

`)
	_, err := io.WriteString(w, b.String())
	return err
}

func (e *Environment) describeDatabase() string {
	if e.database.server == nil {
		return "the upstream you named"
	}
	return "a throwaway " + e.database.server.String()
}
