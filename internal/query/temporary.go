package query

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sallyport/sallyport/internal/catalog"
)

// refuseTemporarySchema refuses whatever names a schema of temporary objects by the
// number that the server has given it: the session's own is pg_temp, and others are
// none of its business.
func (s *state) refuseTemporarySchema(st *Statement) {
	s.temporary = slices.Contains(s.env.SearchPath, catalog.TemporarySchema)
	text := strings.ToLower(st.Text) // looked at for ASCII words only
	if !strings.Contains(text, "temp") && !strings.Contains(text, "u&") {
		return
	}
	if namesSchema(st.Node.ProtoReflect(), numbered) {
		s.refuse(temporary())
	}
	s.temporary = s.temporary || namesSchema(st.Node.ProtoReflect(), func(name string) bool { return name == catalog.TemporarySchema })
}

// namesSchema looks for names: literals are none.
func namesSchema(m protoreflect.Message, is func(string) bool) bool {
	if m.Descriptor() == constDescriptor {
		return false
	}
	found := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			for i := 0; i < v.List().Len() && !found; i++ {
				found = namesSchema(v.List().Get(i).Message(), is)
			}
		case f.Kind() == protoreflect.MessageKind && !f.IsMap():
			found = namesSchema(v.Message(), is)
		case f.Kind() == protoreflect.StringKind && !f.IsList():
			found = is(v.String())
		}
		return !found
	})
	return found
}

var constDescriptor = (&pg_query.A_Const{}).ProtoReflect().Descriptor()

func numbered(name string) bool {
	return strings.HasPrefix(name, "pg_temp_") || strings.HasPrefix(name, "pg_toast_temp_")
}
