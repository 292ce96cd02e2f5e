package proxy

import (
	"bytes"
	"strconv"

	"github.com/sallyport/sallyport/internal/pgwire"
)

// heard is a notification as the client hears it: where columns are masked for it,
// without the payload, which a trigger may have made of a row.
func (m *machine) heard(f pgwire.Frame) pgwire.Frame {
	if !m.hush {
		return f
	}
	const pid = 4
	body := f.Body()
	channel := 1 + bytes.IndexByte(body[min(pid, len(body)):], 0)
	if channel == 0 {
		return nil
	}
	return pgwire.AppendFrame(nil, pgwire.Notification, body[:pid+channel], []byte{0})
}

// scrub removes from a server's report what refers to the statement as rewritten
// and, where columns are masked, all that may quote values. Its position becomes
// that in the client's text, where place can tell it.
func scrub(r pgwire.Report, masked bool, place func(int) int) pgwire.Report {
	position, err := strconv.Atoi(r.Position)
	r.Position = ""
	if place != nil && err == nil && position > 0 {
		r.Position = strconv.Itoa(place(position))
	}
	kept := r.Others[:0:0]
	for _, f := range r.Others {
		switch f.Type {
		case 'p', 'q', 'W':
			if masked || f.Type == 'p' {
				continue
			}
		}
		kept = append(kept, f)
	}
	r.Others = kept
	if masked {
		r.Detail, r.Hint = "", ""
	}
	return r
}
