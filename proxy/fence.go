package proxy

import (
	"github.com/sallyport/sallyport/internal/pgwire"
	"github.com/sallyport/sallyport/internal/rewrite"
)

// fence is the last line behind the rewriting: the columns that must not appear
// in a result as they are.
type fence map[fenceKey]string

type fenceKey struct {
	relation uint32
	column   int16
}

func newFence(columns []rewrite.FenceColumn) fence {
	if len(columns) == 0 {
		return nil
	}
	f := make(fence, len(columns))
	for _, c := range columns {
		f[fenceKey{uint32(c.Relation), c.Number}] = c.ID
	}
	return f
}

// breach names the first column of a RowDescription that comes from a masked
// column as it is, or "". A description that cannot be read is a breach.
func (f fence) breach(rowDescription []byte) string {
	if len(f) == 0 {
		return ""
	}
	fields, err := pgwire.DecodeOrigins(rowDescription)
	if err != nil {
		return "a result that cannot be read"
	}
	for _, field := range fields {
		if field.Relation == 0 {
			continue
		}
		if id, masked := f[fenceKey{field.Relation, field.Column}]; masked {
			return id
		}
	}
	return ""
}
