package query

// Error is what a client is told when its statement is refused before, or
// besides, any policy. It becomes an ErrorResponse as it is.
type Error struct {
	Code     string // SQLSTATE
	Message  string
	Detail   string
	Hint     string
	Position int // in characters from 1, 0 when it is not known
}

func (e *Error) Error() string { return e.Message }

// SQLSTATEs this package uses.
const (
	codeSyntax      = "42601"
	codeUnsupported = "0A000"
	codeTooLarge    = "54000" // program_limit_exceeded
	codeTooComplex  = "54001" // statement_too_complex
	codeBadText     = "22021" // character_not_in_repertoire
)

func unsupported(message, hint string) *Error {
	return &Error{Code: codeUnsupported, Message: message, Hint: hint}
}
