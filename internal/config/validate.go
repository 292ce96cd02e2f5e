package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// validator says what is wrong with values that are each of the right type.
type validator struct{ *decoder }

// at complains about the value at a path, in the line of the nearest thing that
// the file does contain.
func (v *validator) at(path, format string, args ...any) {
	place := path
	line, ok := v.lines[place]
	for !ok && place != "" {
		place = place[:max(strings.LastIndexAny(place, ".["), 0)]
		line, ok = v.lines[place]
	}
	if place == "" {
		line = 0
	}
	v.complain(line, format, args...)
}

func (v *validator) config(c *Config) {
	v.listeners(c.Listen)
	v.admin(c.Admin)
	v.connections(c.Connections)
	v.policies(c.Policies)
	v.limits(c.Limits)
	for _, complaint := range c.Identity.Validate() {
		v.at(complaint.Path, "%s", complaint)
	}
	v.oneOf("log.level", c.Log.Level, "trace", "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "auto", "console", "json")
	if c.State.Path == "" {
		v.at("state.path", "state.path is missing: name the file that keeps grants and approvals across restarts")
	}
	if err := c.Audit.Check(); err != nil {
		place := "audit.path"
		if c.Audit.Path != "" {
			place = "audit.statements"
		}
		v.at(place, "%v", err)
	}
}

func (v *validator) listeners(listeners []Listener) {
	if len(listeners) == 0 {
		v.at("listen", "listen is missing: say where clients connect, as in `listen: [{address: \"127.0.0.1:5432\"}]`")
	}
	seen := map[string]bool{}
	for i, l := range listeners {
		path := fmt.Sprintf("listen[%d]", i)
		if place := l.Address + l.Unix; place != "" && seen[place] {
			v.at(path, "%s listens on %s, as another does", path, place)
		}
		seen[l.Address+l.Unix] = true
		switch {
		case (l.Address == "") == (l.Unix == ""):
			v.at(path, "%s needs either address or unix", path)
		case l.Unix != "":
			if l.TLS != nil {
				v.at(path+".tls", "%s.tls makes no sense on a Unix socket: remove it", path)
			}
		case !v.address(path+".address", l.Address):
		case !loopback(l.Address) && l.TLS == nil:
			v.at(path+".address", "%s: %s can be reached from other machines and tokens travel as passwords: add tls, or listen on 127.0.0.1 or a Unix socket", path, l.Address)
		case !loopback(l.Address) && !l.TLS.Required:
			v.at(path+".tls.required", "%s.tls.required may be false on loopback only: tokens travel as passwords", path)
		}
		v.tls(path+".tls", l.TLS)
	}
}

func (v *validator) admin(a Admin) {
	if v.address("admin.address", a.Address) && !loopback(a.Address) && a.TLS == nil {
		v.at("admin.address", "admin.address %s can be reached from other machines and tokens travel in its requests: add admin.tls or use 127.0.0.1; for probes alone there is admin.probes", a.Address)
	}
	v.tls("admin.tls", a.TLS)
	if a.TLS != nil && !a.TLS.Required {
		v.at("admin.tls.required", "admin.tls.required cannot be false")
	}
	if a.Probes != "" {
		v.address("admin.probes", a.Probes)
	}
}

func (v *validator) tls(path string, t *TLS) {
	switch {
	case t == nil || t.Cert != "" && t.Key != "":
	case t.Cert == "" && t.Key == "":
		v.at(path, "%s needs cert and key", path)
	case t.Cert == "":
		v.at(path, "%s has a key but no cert", path)
	default:
		v.at(path, "%s has a cert but no key", path)
	}
}

// address reports whether the value is a host and a port that can be listened on.
func (v *validator) address(path, value string) bool {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		v.at(path, "%s: %q is not host:port, as in 127.0.0.1:5432", path, value)
	}
	return err == nil
}

// loopback reports whether only this machine can reach an address.
func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

var connectionName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (v *validator) connections(connections []Connection) {
	if len(connections) == 0 {
		v.at("connections", "connections is missing: name at least one database with its dsn")
	}
	var names []string
	for i, c := range connections {
		path := fmt.Sprintf("connections[%d]", i)
		switch {
		case c.Name == "":
			v.at(path, "%s has no name", path)
		case !connectionName.MatchString(c.Name):
			v.at(path+".name", "%s.name %q is not made of lower-case letters, digits, dots, hyphens and underscores", path, c.Name)
		case slices.Contains(names, c.Name):
			v.at(path+".name", "two connections are named %s", c.Name)
		}
		names = append(names, c.Name)
		for j, schema := range c.SearchPath {
			if schema == "" || strings.ContainsAny(schema, "\x00\",") {
				v.at(fmt.Sprintf("%s.search_path[%d]", path, j), "%s.search_path: %q is not a schema's name: write one name an entry, without quotes", path, schema)
			}
		}
		v.dsns(path, c)
	}
}

func (v *validator) policies(p Policies) {
	if p.Directory == "" && p.OPA == "" {
		v.at("policies", "policies is missing: name the directory of the policies, or an OPA configuration")
	}
	if info, err := os.Stat(p.Directory); p.Directory != "" && (err != nil || !info.IsDir()) {
		v.at("policies.directory", "policies.directory %s is not a directory that can be read", p.Directory)
	}
	if info, err := os.Stat(p.OPA); p.OPA != "" && (err != nil || !info.Mode().IsRegular()) {
		v.at("policies.opa", "policies.opa %s is not a file that can be read", p.OPA)
	}
}

func (v *validator) limits(l Limits) {
	for _, size := range []struct {
		path         string
		value, least int
		most         int
	}{
		{"limits.statement_bytes", l.StatementBytes, 1 << 10, maxMessageBytes},
		{"limits.statement_tokens", l.StatementTokens, 100, 10_000_000},
		{"limits.message_bytes", l.MessageBytes, 1 << 10, maxMessageBytes},
		{"limits.preauth_bytes", l.PreauthBytes, 1 << 10, 1 << 20},
		{"limits.sessions", l.Sessions, 1, 1 << 20},
	} {
		if size.value < size.least || size.value > size.most {
			v.at(size.path, "%s: %d is not between %d and %d", size.path, size.value, size.least, size.most)
		}
	}
	for _, span := range []struct {
		path               string
		value, least, most time.Duration
	}{
		{"limits.login_timeout", l.LoginTimeout, time.Second, 10 * time.Minute},
		{"limits.drain_timeout", l.DrainTimeout, 0, time.Hour},
		{"limits.approval_wait", l.ApprovalWait, time.Second, maxApprovalWait},
		{"limits.idle_timeout", l.IdleTimeout, 0, 7 * 24 * time.Hour},
	} {
		if span.value < span.least || span.value > span.most {
			v.at(span.path, "%s: %s is not between %s and %s", span.path, span.value, span.least, span.most)
		}
	}
}

func (v *validator) oneOf(path, value string, known ...string) {
	if !slices.Contains(known, value) {
		v.at(path, "%s: %q is none of %s%s", path, value, strings.Join(known, ", "), meant(value, known))
	}
}
