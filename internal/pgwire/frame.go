// Package pgwire reads, writes and forwards messages of the PostgreSQL
// frontend/backend protocol whole, without decoding what need not be looked at.
package pgwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// HeaderSize is the type byte and the length that follows it.
const HeaderSize = 5

// ErrFraming is returned when a length cannot be right: the stream is lost.
var ErrFraming = errors.New("malformed message length")

// TooLargeError tells that a message exceeds what its reader accepts. Nothing of
// its body was read.
type TooLargeError struct {
	Type  byte
	Bytes int
	Limit int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("message %q of %d bytes exceeds the limit of %d", e.Type, e.Bytes, e.Limit)
}

// Header is the start of a message: its type and the length of its body in bytes.
type Header struct {
	Type byte
	Body int
}

// Frame is one whole message with its header.
type Frame []byte

// Type is the message's type byte.
func (f Frame) Type() byte { return f[0] }

// Body is the message without its header.
func (f Frame) Body() []byte { return f[HeaderSize:] }

// Clone copies a frame out of a reader's buffer.
func (f Frame) Clone() Frame { return append(Frame(nil), f...) }

// Reader reads messages from one side of a connection.
type Reader struct {
	src  io.Reader
	buf  []byte
	r, w int
	left int // bytes of a streamed message not yet passed on
}

// NewReader reads from src through a buffer of size bytes.
func NewReader(src io.Reader, size int) *Reader {
	return &Reader{src: src, buf: make([]byte, size)}
}

// Buffered is the number of bytes read and not yet handed out.
func (r *Reader) Buffered() int { return r.w - r.r }

// HasFrame reports whether a whole message is buffered, so that Next and Read
// return without waiting.
func (r *Reader) HasFrame() bool {
	if r.left > 0 || r.Buffered() < HeaderSize {
		return false
	}
	n := binary.BigEndian.Uint32(r.buf[r.r+1:])
	return uint64(n)+1 <= uint64(r.Buffered())
}

// fill reads until n bytes are buffered; n is at most the buffer's size.
func (r *Reader) fill(n int) error {
	if r.r > 0 && r.r+n > len(r.buf) {
		copy(r.buf, r.buf[r.r:r.w])
		r.w -= r.r
		r.r = 0
	}
	for r.Buffered() < n {
		if r.r == r.w {
			r.r, r.w = 0, 0
		}
		m, err := r.src.Read(r.buf[r.w:])
		r.w += m
		if err != nil && r.Buffered() < n {
			if errors.Is(err, io.EOF) && r.Buffered() > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// Next waits for the next message and returns its header without consuming it.
func (r *Reader) Next() (Header, error) {
	if r.left > 0 {
		return Header{}, errors.New("the message before was not read to its end")
	}
	if err := r.fill(HeaderSize); err != nil {
		return Header{}, err
	}
	n := binary.BigEndian.Uint32(r.buf[r.r+1:])
	if n < 4 || n > 1<<30 {
		return Header{}, ErrFraming
	}
	return Header{Type: r.buf[r.r], Body: int(n) - 4}, nil
}

// Read consumes the message that Next announced. The frame may lie in the
// reader's buffer: it is good until the next call only. A body of more than limit
// bytes is a *TooLargeError.
func (r *Reader) Read(h Header, limit int) (Frame, error) {
	if h.Body > limit {
		return nil, &TooLargeError{Type: h.Type, Bytes: h.Body, Limit: limit}
	}
	total := HeaderSize + h.Body
	if total <= len(r.buf) {
		if err := r.fill(total); err != nil {
			return nil, err
		}
		f := Frame(r.buf[r.r : r.r+total : r.r+total])
		r.r += total
		return f, nil
	}
	return r.readLarge(total)
}

// readLarge grows the frame as bytes arrive, so that a length alone costs nothing.
func (r *Reader) readLarge(total int) (Frame, error) {
	f := append(make(Frame, 0, 2*len(r.buf)), r.buf[r.r:r.w]...)
	r.r, r.w = 0, 0
	for len(f) < total {
		if len(f) == cap(f) {
			f = append(f, 0)[:len(f)]
		}
		n, err := r.src.Read(f[len(f):min(cap(f), total)])
		f = f[:len(f)+n]
		if err != nil && len(f) < total {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return f, nil
}

// Stream consumes the message that Next announced piece by piece, header first,
// with bounded memory. Each piece is good until the callback returns.
func (r *Reader) Stream(h Header, pass func(piece []byte) error) error {
	r.left = HeaderSize + h.Body
	for r.left > 0 {
		if r.Buffered() == 0 {
			if err := r.fill(1); err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		piece := r.buf[r.r:min(r.w, r.r+r.left)]
		r.r += len(piece)
		r.left -= len(piece)
		if err := pass(piece); err != nil {
			return err
		}
	}
	return nil
}
