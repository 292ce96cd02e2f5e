package query

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// refuseTemporarySchema refuses whatever names a schema of temporary objects, by
// any of its names and for any kind of object: a session that has one looks names
// up in it before all others, and it is not in the catalog's snapshot.
func (s *state) refuseTemporarySchema(st *Statement) {
	text := strings.ToLower(st.Text) // looked at for ASCII words only
	if !strings.Contains(text, "temp") && !strings.Contains(text, "u&") {
		return
	}
	if namesTemporary(st.Node.ProtoReflect()) {
		s.refuse(temporary())
	}
}

// namesTemporary looks for names: literals are none.
func namesTemporary(m protoreflect.Message) bool {
	if m.Descriptor() == constDescriptor {
		return false
	}
	found := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			for i := 0; i < v.List().Len() && !found; i++ {
				found = namesTemporary(v.List().Get(i).Message())
			}
		case f.Kind() == protoreflect.MessageKind && !f.IsMap():
			found = namesTemporary(v.Message())
		case f.Kind() == protoreflect.StringKind && !f.IsList():
			found = temporarySchema(v.String())
		}
		return !found
	})
	return found
}

var constDescriptor = (&pg_query.A_Const{}).ProtoReflect().Descriptor()

func temporarySchema(name string) bool {
	return name == "pg_temp" || strings.HasPrefix(name, "pg_temp_") || strings.HasPrefix(name, "pg_toast_temp_")
}
