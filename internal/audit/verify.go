package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Damage is where a log is not what was written.
type Damage struct {
	Path string
	Line int // the first line that is bad, from 1
	Why  string
}

func (d *Damage) Error() string { return fmt.Sprintf("%s:%d: %s", d.Path, d.Line, d.Why) }

// Inspection is what a sound log consists of.
type Inspection struct {
	Records uint64 // lines
	Last    string // SHA-256 of the last line: whoever has kept it elsewhere can tell that the end was cut off
	Torn    int64  // bytes of a last line that was never finished: its record was never accepted
}

// Verify follows the chain from the first line to the last and says which line is
// the first that was changed, added, moved or removed: a *Damage. That lines are
// missing at the end it cannot see; that takes the last hash, kept elsewhere.
func Verify(path string) error {
	_, err := Inspect(path)
	return err
}

// Inspect is Verify that also tells what was found.
func Inspect(path string) (Inspection, error) {
	f, err := os.Open(path)
	if err != nil {
		return Inspection{}, fmt.Errorf("audit log: %w", err)
	}
	defer f.Close()
	return inspectAll(path, f)
}

func inspectAll(path string, r io.Reader) (Inspection, error) {
	var at link
	torn, err := eachLine(r, func(n int, line []byte) error {
		if bad, why := at.follow(line); why != "" {
			return &Damage{Path: path, Line: n + bad, Why: why}
		}
		return nil
	})
	if err != nil {
		return Inspection{}, err
	}
	in := Inspection{Records: at.seq, Torn: torn}
	if at.seq > 0 {
		in.Last = hex.EncodeToString(at.hash[:])
	}
	return in, nil
}

// eachLine calls visit for each whole line and returns how many bytes follow the last.
func eachLine(r io.Reader, visit func(n int, line []byte) error) (torn int64, err error) {
	br := bufio.NewReaderSize(r, 256<<10)
	var long []byte
	for n := 1; ; {
		part, err := br.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
			continue
		case errors.Is(err, io.EOF):
			return int64(len(long) + len(part)), nil
		case err != nil:
			return 0, fmt.Errorf("audit log: %w", err)
		}
		line := part
		if len(long) > 0 {
			long = append(long, part...)
			line = long
		}
		if err := visit(n, line[:len(line)-1]); err != nil {
			return 0, err
		}
		long = long[:0]
		n++
	}
}

// link is the last line seen. Its zero value stands before the first line.
type link struct {
	seq  uint64
	hash [sha256.Size]byte
}

// follow takes the next line if it follows. Else it says why not, and whether this
// line is the bad one (0) or the one before (-1).
func (l *link) follow(line []byte) (bad int, why string) {
	h, ok := parseHead(line)
	switch {
	case !ok || !oneObject(line):
		return 0, "not a record: the line was changed"
	case h.seq != l.seq+1:
		return 0, fmt.Sprintf("record %d stands where record %d belongs: lines were removed, added or moved", h.seq, l.seq+1)
	case h.prev != l.hash && l.seq == 0:
		return 0, "the first record was changed"
	case h.prev != l.hash:
		return -1, fmt.Sprintf("record %d was changed: record %d holds another hash of it", l.seq, h.seq)
	}
	l.seq, l.hash = h.seq, sha256.Sum256(line)
	return 0, ""
}

// lineStart begins each line, and cannot come again in one: quotes in strings are escaped.
var lineStart = []byte(`{"v":` + strconv.Itoa(Version) + `,"seq":`)

// oneObject reports whether a line can be what appendBody wrote, so far as this can
// be told quickly, and is not two lines that lost what was between them. That it is
// exactly what was written, the next line's hash says.
func oneObject(line []byte) bool {
	if bytes.Contains(line[1:], lineStart) {
		return false
	}
	for _, c := range line {
		if c < ' ' {
			return false
		}
	}
	return line[len(line)-1] == '}'
}

type head struct {
	seq  uint64
	prev [sha256.Size]byte
}

// parseHead reads what appendHead writes, and nothing else.
func parseHead(line []byte) (head, bool) {
	var h head
	rest, ok := bytes.CutPrefix(line, lineStart)
	if !ok {
		return h, false
	}
	seq, rest, ok := bytes.Cut(rest, []byte(`,"time":"`))
	if !ok {
		return h, false
	}
	var err error
	if h.seq, err = strconv.ParseUint(string(seq), 10, 64); err != nil || len(rest) < len(timeLayout) {
		return h, false
	}
	rest, ok = bytes.CutPrefix(rest[len(timeLayout):], []byte(`","prev":"`))
	if !ok || len(rest) < 2*sha256.Size {
		return h, false
	}
	_, err = hex.Decode(h.prev[:], rest[:2*sha256.Size])
	return h, err == nil
}

// end is where a log goes on.
type end struct {
	link
	size int64 // of the whole lines
}

// readEnd finds the last whole line of a log. Only the end is read: the rest is
// Verify's.
func readEnd(r io.ReaderAt, size int64) (end, error) {
	for window := int64(64 << 10); ; window *= 4 {
		from := max(0, size-window)
		buf := make([]byte, size-from)
		if n, err := r.ReadAt(buf, from); n < len(buf) {
			return end{}, err
		}
		last := bytes.LastIndexByte(buf, '\n')
		if last < 0 && from == 0 {
			return end{}, nil // nothing but, perhaps, half a line
		}
		start := -1
		if last >= 0 {
			start = bytes.LastIndexByte(buf[:last], '\n')
		}
		if start < 0 && from > 0 {
			continue
		}
		line := buf[start+1 : last]
		h, ok := parseHead(line)
		if !ok || !json.Valid(line) { // here nothing follows that would tell
			return end{}, errors.New("its last line is not a record")
		}
		return end{link{h.seq, sha256.Sum256(line)}, from + int64(last) + 1}, nil
	}
}
