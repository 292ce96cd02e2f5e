package query

import (
	"strconv"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"
)

// constantText is a constant as PostgreSQL takes it for a setting.
func constantText(c *pg_query.A_Const) (string, bool) {
	switch v := c.Val.(type) {
	case *pg_query.A_Const_Sval:
		return v.Sval.GetSval(), true
	case *pg_query.A_Const_Ival:
		return strconv.Itoa(int(v.Ival.GetIval())), true
	case *pg_query.A_Const_Fval:
		return v.Fval.GetFval(), true
	case *pg_query.A_Const_Boolval:
		return strconv.FormatBool(v.Boolval.GetBoolval()), true
	default:
		return "", false
	}
}

// setConfig recognises SELECT set_config('name', 'value', false) by itself, which
// is a SET.
func (s *state) setConfig(st *pg_query.SelectStmt) bool {
	fc := wholeCall(st)
	if fc == nil || len(st.FromClause) > 0 || !plainCall(fc) || len(fc.Args) != 3 {
		return false
	}
	parts, ok := names(fc.Funcname)
	if !ok || parts[len(parts)-1] != "set_config" || len(parts) > 2 || len(parts) == 2 && parts[0] != "pg_catalog" {
		return false
	}
	candidates := s.candidates("pg_catalog", "set_config", 3)
	if len(parts) == 1 && len(s.candidates("", "set_config", 3)) != 1 || len(candidates) != 1 {
		return false // somebody's own set_config: an ordinary call
	}
	before := s.out.Shape.Literals
	name, nameOK := s.argument(fc.Args[0])
	val, valueOK := s.argument(fc.Args[1])
	local, localOK := s.argument(fc.Args[2])
	if !nameOK || name.Param != 0 || name.Null || !valueOK || !localOK || local.Param != 0 {
		s.out.Shape.Literals = before
		return false
	}
	s.addFunction(candidates[0])
	isLocal, err := strconv.ParseBool(local.Value)
	if err != nil {
		isLocal = true
	}
	set := &Setting{Name: strings.ToLower(name.Value), Local: isLocal, Reset: val.Null, Opaque: val.Param != 0}
	if !set.Opaque && !set.Reset {
		set.Values = []string{val.Value}
		if set.Name == "search_path" {
			var ok bool
			if set.Values, ok = splitIdentifiers(val.Value); !ok {
				set.Opaque, set.Values = true, nil
			}
		}
	}
	s.kind("select", "setting")
	s.setting(set)
	return true
}

// setting takes a setting over, or refuses it.
func (s *state) setting(set *Setting) {
	s.out.Setting = set
	if reason := refusedSetting(set); reason != nil {
		s.refuse(reason)
	}
}

// refusedSetting: settings by which the session would become somebody else, or by
// which the server would read the same bytes otherwise than the proxy.
func refusedSetting(set *Setting) *Error {
	value := ""
	if len(set.Values) == 1 && !set.Opaque {
		value = strings.ToLower(set.Values[0])
	}
	switch name := set.Name; {
	case name == "role" || name == "session_authorization":
		return unsupported("changing the role of a session is not supported", "The role is the proxy's choice.")
	case name == "standard_conforming_strings":
		if set.Reset || value == "on" || value == "true" || value == "yes" || value == "1" {
			return nil
		}
		return unsupported("standard_conforming_strings must stay on", "Write E'…' for strings with escapes.")
	case name == "client_encoding":
		if set.Reset || utf8Names[value] {
			return nil
		}
		return unsupported("client_encoding must stay UTF8", "Convert in the client.")
	case name == "row_security" || name == "session_replication_role" || name == "session_preload_libraries" ||
		name == "local_preload_libraries" || name == "allow_system_table_mods" || name == "transform_null_equals" ||
		name == "array_nulls" || name == "backslash_quote":
		return unsupported("setting "+name+" is not supported", "")
	case strings.HasPrefix(name, ownSchema+"."):
		return unsupported("sallyport has no setting "+quoted(name), "Present a new token by connecting again.")
	default:
		return nil
	}
}

var utf8Names = map[string]bool{"utf8": true, "utf-8": true, "unicode": true}

// splitIdentifiers reads a list of names as PostgreSQL reads search_path.
func splitIdentifiers(list string) ([]string, bool) {
	var out []string
	rest := strings.TrimSpace(list)
	if rest == "" {
		return out, true
	}
	for {
		var name string
		if strings.HasPrefix(rest, `"`) {
			var b strings.Builder
			i := 1
			for ; ; i++ {
				if i >= len(rest) {
					return nil, false
				}
				if rest[i] != '"' {
					b.WriteByte(rest[i])
					continue
				}
				if i+1 < len(rest) && rest[i+1] == '"' {
					b.WriteByte('"')
					i++
					continue
				}
				break
			}
			name, rest = b.String(), rest[i+1:]
		} else {
			end := strings.IndexAny(rest, ", \t\r\n\f\v")
			if end < 0 {
				end = len(rest)
			}
			name, rest = rest[:end], rest[end:]
			if name == "" || strings.Contains(name, `"`) {
				return nil, false
			}
			name = strings.ToLower(name)
		}
		out = append(out, name)
		rest = strings.TrimSpace(rest)
		if rest == "" {
			return out, true
		}
		if rest[0] != ',' {
			return nil, false
		}
		rest = strings.TrimSpace(rest[1:])
	}
}
