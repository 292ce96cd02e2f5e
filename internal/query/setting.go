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
	name, nameOK := s.textArgument(fc.Args[0])
	val, valueOK := s.textArgument(fc.Args[1])
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
	set := &Setting{Name: asciiLower(name.Value), Local: isLocal, Reset: val.Null, Opaque: val.Param != 0}
	if !set.Opaque && !set.Reset {
		set.Values = []string{val.Value}
		if set.Name == "search_path" {
			var ok bool
			if set.Values, ok = SplitNames(val.Value); !ok {
				set.Opaque, set.Values = true, nil
			}
		}
	}
	s.kind("select", "setting")
	s.setting(set)
	return true
}

// textArgument reads a literal or a parameter that reaches the function as it is:
// a cast to anything but text, or to a length, might change it.
func (s *state) textArgument(node *pg_query.Node) (Arg, bool) {
	for n := node; n.GetTypeCast() != nil; n = n.GetTypeCast().Arg {
		t := n.GetTypeCast().TypeName
		if len(t.GetTypmods()) > 0 || len(t.GetArrayBounds()) > 0 || s.findType(t) != textOID {
			return Arg{}, false
		}
	}
	return s.argument(node)
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
		value = asciiLower(set.Values[0])
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

// SplitNames reads a list of names as a server whose encoding is UTF8 reads
// search_path: commas, double quotes, unquoted names in lower case, and no white
// space but ASCII's. Where versions of the server differ, or would cut a name
// short, it is not ok: empty names, names over 63 bytes, unquoted names that are
// not ASCII, vertical tabs.
func SplitNames(list string) (names []string, ok bool) {
	rest := trimSpace(list)
	if rest == "" {
		return nil, true
	}
	for {
		var name string
		if strings.HasPrefix(rest, `"`) {
			if name, rest, ok = quotedName(rest[1:]); !ok {
				return nil, false
			}
		} else {
			end := strings.IndexAny(rest, ","+space)
			if end < 0 {
				end = len(rest)
			}
			if name, rest = rest[:end], rest[end:]; !plainName(name) {
				return nil, false
			}
			name = asciiLower(name)
		}
		if name == "" || len(name) > maxName {
			return nil, false
		}
		names = append(names, name)
		if rest = trimSpace(rest); rest == "" {
			return names, true
		}
		if rest[0] != ',' {
			return nil, false
		}
		rest = trimSpace(rest[1:])
	}
}

// JoinNames is the list that a server reads as exactly these names.
func JoinNames(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ", ")
}

const (
	space   = " \t\n\r\f"
	maxName = 63 // bytes; the server cuts what is longer
)

func trimSpace(s string) string { return strings.Trim(s, space) }

// quotedName reads to the closing quote.
func quotedName(s string) (name, rest string, ok bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			return "", "", false
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		if !strings.HasPrefix(s, `"`) {
			return b.String(), s, true
		}
		b.WriteByte('"')
		s = s[1:]
	}
}

func plainName(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] == '"' || s[i] == '\v' {
			return false
		}
	}
	return true
}

// asciiLower folds as the server does: strings.ToLower would make other letters
// (the Kelvin sign) into ASCII's.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// exactPath reports whether the names are what the server will have as its search
// path: it cuts long ones also where they are quoted.
func exactPath(names []string) bool {
	for _, n := range names {
		if len(n) > maxName {
			return false
		}
	}
	return true
}
