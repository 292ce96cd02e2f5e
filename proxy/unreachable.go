package proxy

import (
	"bytes"
	"errors"
	"io"

	"github.com/jackc/pgx/v5/pgconn"
)

// upstreamRefusal says that the database is not there, without saying where it
// would be or with which login: that is not the client's to know.
func upstreamRefusal(err error) *Refusal {
	r := &Refusal{Code: codeUpstream, Message: "the database cannot be reached", Hint: "Try again in a moment; if it stays so, tell the operators.",
		Detail: Detail{Effect: "error", Retryable: true}}
	var own *Refusal
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &pg) && pg.Code == "53300":
		r.Code, r.Message = codeLimit, "the database has no connection to spare"
	case errors.As(err, &pg) && (pg.Code == "22023" || pg.Code == "42704"):
		r.Code, r.Message, r.Hint = pg.Code, pg.Message, "Correct the startup parameter."
		r.Detail.Retryable = false
	case errors.As(err, &pg) && pg.Code[:2] == "28":
		r.Message, r.Hint = "the database does not accept sallyport's credential", "Tell the operators."
		r.Detail.Retryable = false
	}
	return r
}

// redactDSN keeps what pgconn says of a connection attempt but for its settings.
func redactDSN(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return errors.New(pg.Message + " (SQLSTATE " + pg.Code + ")")
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }
