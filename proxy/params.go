package proxy

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/internal/query"
)

// allowedParams are the settings a client may bring at startup: those that
// change how values look or how long things take, and none that changes what
// names or texts mean.
var allowedParams = []string{
	"application_name", "bytea_output", "client_encoding", "client_min_messages", "datestyle",
	"default_transaction_deferrable", "default_transaction_isolation", "default_transaction_read_only",
	"extra_float_digits", "geqo", "idle_in_transaction_session_timeout", "intervalstyle", "jit", "lock_timeout",
	"search_path", "statement_timeout", "timezone", "standard_conforming_strings",
}

// settings are what a client's startup packet asks for.
type settings struct {
	user     string
	database string
	server   map[string]string // for the server
	path     []string          // search_path, nil when the client does not set it
	binding  string            // sallyport.binding
	reason   string            // sallyport.reason
	ttl      time.Duration     // sallyport.ttl
}

// readSettings reads the startup parameters strictly.
func readSettings(s *pgwire.Startup) (settings, *Refusal) {
	out := settings{server: map[string]string{}}
	for _, p := range s.Params {
		if r := out.take(p.Name, p.Value); r != nil {
			return out, r
		}
	}
	if out.user == "" {
		return out, &Refusal{Code: codeIdentity, Message: "no user name was given", Fatal: true,
			Hint: "Give any user name; who you are is told by the token in the password."}
	}
	if out.database == "" {
		out.database = out.user
	}
	return out, nil
}

func (out *settings) take(name, value string) *Refusal {
	switch {
	case name == "user":
		out.user = value
	case name == "database":
		out.database = value
	case name == "options":
		return out.takeOptions(value)
	case name == "replication":
		if on := lower(value); on != "false" && on != "off" && on != "no" && on != "0" {
			return &Refusal{Code: codeUnsupported, Message: "replication connections are not supported", Fatal: true,
				Hint: "Connect without the replication parameter."}
		}
	case strings.HasPrefix(name, "_pq_."): // told by NegotiateProtocolVersion
	default:
		return out.set(name, value)
	}
	return nil
}

// takeOptions reads -c name=value and --name=value, as the server does.
func (out *settings) takeOptions(options string) *Refusal {
	words := pgwire.SplitOptions(options)
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "-c" && i+1 < len(words):
			i++
			word = words[i]
		case strings.HasPrefix(word, "-c"):
			word = word[2:]
		case strings.HasPrefix(word, "--"):
			word = word[2:]
		default:
			return notAllowed("option " + quote(word))
		}
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return notAllowed("option " + quote(word) + " without a value")
		}
		if r := out.set(strings.ReplaceAll(name, "-", "_"), value); r != nil {
			return r
		}
	}
	return nil
}

func (out *settings) set(name, value string) *Refusal {
	name = lower(name)
	switch name {
	case "sallyport.binding":
		out.binding = value
		return nil
	case "sallyport.reason":
		out.reason = value
		return nil
	case "sallyport.ttl":
		ttl, err := parseTTL(value)
		if err != nil {
			return &Refusal{Code: "22023", Message: "sallyport.ttl is not understood", Fatal: true, Hint: "Write it as 30m or 1h."}
		}
		out.ttl = ttl
		return nil
	case "search_path":
		path, ok := query.SplitNames(value)
		if !ok {
			return &Refusal{Code: "22023", Message: "search_path is not a list of names that can be read exactly", Fatal: true,
				Hint: `Write it as a, b, with names that are not plain ASCII in double quotes and at most 63 bytes long.`}
		}
		out.path = append([]string{}, path...)
		value = query.JoinNames(path) // never the client's own text
	case "client_encoding":
		if e := lower(strings.Trim(value, `'"`)); e != "utf8" && e != "utf-8" && e != "unicode" && e != "auto" {
			return &Refusal{Code: codeUnsupported, Message: "client_encoding must be UTF8", Fatal: true,
				Hint: "Set PGCLIENTENCODING=UTF8, or leave it out."}
		}
		return nil // always sent
	case "standard_conforming_strings":
		if on := lower(value); on != "on" && on != "true" && on != "yes" && on != "1" {
			return unsafeParameter(name, value)
		}
		return nil
	}
	if !slices.Contains(allowedParams, name) {
		return notAllowed("parameter " + quote(name))
	}
	out.server[name] = value
	return nil
}

func notAllowed(what string) *Refusal {
	return &Refusal{Code: codeDenied, Message: what + " is not allowed at startup", Fatal: true,
		Hint: "Allowed are " + strings.Join(allowedParams, ", ") + ", sallyport.reason, sallyport.binding and sallyport.ttl."}
}

// lower folds ASCII only, as the server does with what is no SQL.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
