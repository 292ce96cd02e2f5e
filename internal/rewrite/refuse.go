package rewrite

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/query"
)

const insufficientPrivilege = "42501"

// refusal says that a masked column, or a filtered table, is used where it cannot be.
// How goes on after "column … is masked and" or "table … is shown in part and".
func refusal(id, how, hint string) *query.Error {
	subject := "column " + id + " is masked and "
	if len(splitID(id)) == 2 {
		subject = "table " + id + " is shown in part and "
		hint = strings.ReplaceAll(hint, "reads it masked", "reads the rows that are shown")
	}
	return &query.Error{
		Code:    insufficientPrivilege,
		Message: subject + how,
		Hint:    hint,
	}
}

// badMask says that what a policy asks for cannot be done to the column.
func badMask(column string, m Mask, why string) *query.Error {
	return &query.Error{
		Code:    insufficientPrivilege,
		Message: fmt.Sprintf("column %s cannot be masked: mask %q %s", column, m.Function, why),
		Hint:    "The policy that masks the column has to be corrected by whoever keeps it.",
	}
}

// internal says that no statement could be made that is known to be right.
func internal(why string) *query.Error {
	return &query.Error{
		Code:    insufficientPrivilege,
		Message: "the statement that would run could not be made: " + why,
		Hint:    "Write the statement in a simpler form, with plain and qualified names.",
	}
}

// list joins words for a sentence.
func list(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		last := len(words) - 1
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
}
