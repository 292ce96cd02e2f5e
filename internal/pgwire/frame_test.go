package pgwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// stream is a few messages of all sizes around a buffer of 16 bytes.
func stream() (wire []byte, want []string) {
	for _, n := range []int{0, 1, 10, 11, 12, 16, 17, 40, 0, 300} {
		body := bytes.Repeat([]byte{byte('a' + n%26)}, n)
		wire = AppendFrame(wire, Query, body)
		want = append(want, string(body))
	}
	return wire, want
}

func readAll(t *testing.T, r *Reader) []string {
	t.Helper()
	var got []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.Read(h, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type() != Query || len(f) != HeaderSize+h.Body || int(binary.BigEndian.Uint32(f[1:])) != len(f)-1 {
			t.Fatalf("frame %q does not fit its header %+v", f, h)
		}
		got = append(got, string(f.Body()))
	}
}

// splitAt gives everything before the position first, and the rest byte by byte.
func splitAt(wire []byte, at int) io.Reader {
	return io.MultiReader(bytes.NewReader(wire[:at]), iotest.OneByteReader(bytes.NewReader(wire[at:])))
}

func TestFramesSplitAnywhere(t *testing.T) {
	wire, want := stream()
	for at := range len(wire) + 1 {
		for _, size := range []int{HeaderSize, 16, 4096} {
			got := readAll(t, NewReader(splitAt(wire, at), size))
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("split at %d, buffer of %d: got %q", at, size, got)
			}
		}
	}
}

func TestCutAnywhereIsNoFrame(t *testing.T) {
	wire := AppendFrame(nil, Query, []byte(strings.Repeat("x", 30)))
	for at := range len(wire) {
		for _, size := range []int{HeaderSize, 16, 4096} {
			r := NewReader(bytes.NewReader(wire[:at]), size)
			h, err := r.Next()
			if err == nil {
				_, err = r.Read(h, 1000)
			}
			want := io.ErrUnexpectedEOF
			if at == 0 {
				want = io.EOF
			}
			if !errors.Is(err, want) {
				t.Fatalf("cut at %d, buffer of %d: %v, want %v", at, size, err, want)
			}
		}
	}
}

func TestLimitIsOfTheBody(t *testing.T) {
	wire := AppendFrame(AppendFrame(nil, Parse, make([]byte, 100)), Query, make([]byte, 101))
	r := NewReader(bytes.NewReader(wire), 16)
	h, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(h, 100); err != nil {
		t.Errorf("a message of the limit: %v", err)
	}
	if h, err = r.Next(); err != nil {
		t.Fatal(err)
	}
	var large *TooLargeError
	if _, err := r.Read(h, 100); !errors.As(err, &large) || *large != (TooLargeError{Type: Query, Bytes: 101, Limit: 100}) {
		t.Errorf("a message beyond the limit: %v", err)
	}
}

func TestImpossibleLengths(t *testing.T) {
	for _, n := range []uint32{0, 1, 3, 1<<30 + 1, 1 << 31, 1<<32 - 1} {
		wire := append(binary.BigEndian.AppendUint32([]byte{Query}, n), make([]byte, 64)...)
		if _, err := NewReader(bytes.NewReader(wire), 4096).Next(); !errors.Is(err, ErrFraming) {
			t.Errorf("length %d: %v", n, err)
		}
	}
	wire := binary.BigEndian.AppendUint32([]byte{Sync}, 4)
	if h, err := NewReader(bytes.NewReader(wire), 16).Next(); err != nil || h != (Header{Type: Sync}) {
		t.Errorf("a message without body: %+v, %v", h, err)
	}
}

// A length alone must not make the reader take memory.
func TestAnnouncedBytesCostNothing(t *testing.T) {
	wire := append(binary.BigEndian.AppendUint32([]byte{Query}, 1<<30), "abc"...)
	allocated := testing.AllocsPerRun(1, func() {
		r := NewReader(bytes.NewReader(wire), 64)
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f, err := r.Read(h, 1<<31); !errors.Is(err, io.ErrUnexpectedEOF) || cap(f) > 1024 {
			t.Errorf("got %d bytes of room, %v", cap(f), err)
		}
	})
	if allocated > 20 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestNextDoesNotConsume(t *testing.T) {
	r := NewReader(bytes.NewReader(AppendQuery(nil, "x")), 64)
	first, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := r.Next(); err != nil || second != first {
		t.Errorf("%+v then %+v, %v", first, second, err)
	}
}

func TestHasFrame(t *testing.T) {
	wire := AppendQuery(AppendFrame(nil, Sync), "abc")
	for at := range len(wire) + 1 {
		r := NewReader(splitAt(wire, at), 64)
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !r.HasFrame() {
			t.Fatalf("split at %d: Sync was read and is not there", at)
		}
		if _, err := r.Read(h, 64); err != nil {
			t.Fatal(err)
		}
		if got, want := r.HasFrame(), at == len(wire); got != want {
			t.Errorf("split at %d: a second frame is there: %v", at, got)
		}
	}
}

func TestStreamSplitAnywhere(t *testing.T) {
	wire, want := stream()
	for at := range len(wire) + 1 {
		for _, size := range []int{HeaderSize, 16, 4096} {
			r := NewReader(splitAt(wire, at), size)
			for i, body := range want {
				h, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				var got []byte
				err = r.Stream(h, func(piece []byte) error { got = append(got, piece...); return nil })
				if err != nil || string(got) != string(AppendFrame(nil, Query, []byte(body))) {
					t.Fatalf("split at %d, buffer of %d, message %d: %q, %v", at, size, i, got, err)
				}
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("after the last message: %v", err)
			}
		}
	}
}

func TestStreamEndsEarly(t *testing.T) {
	wire := AppendFrame(nil, CopyData, make([]byte, 100))
	r := NewReader(bytes.NewReader(wire[:50]), 16)
	h, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Stream(h, func([]byte) error { return nil }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the source ended: %v", err)
	}
	full := errors.New("no room")
	r = NewReader(bytes.NewReader(wire), 16)
	if h, err = r.Next(); err != nil {
		t.Fatal(err)
	}
	if err := r.Stream(h, func([]byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("the destination failed: %v", err)
	}
	if _, err := r.Next(); err == nil {
		t.Error("the middle of a message was taken for a header")
	}
}

func TestCloneOutlivesTheBuffer(t *testing.T) {
	r := NewReader(bytes.NewReader(AppendQuery(AppendQuery(nil, "first"), "other")), 11)
	h, _ := r.Next()
	f, err := r.Read(h, 64)
	if err != nil {
		t.Fatal(err)
	}
	kept := f.Clone()
	if h, err = r.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(h, 64); err != nil {
		t.Fatal(err)
	}
	if sql, err := DecodeQuery(kept.Body()); err != nil || sql != "first" {
		t.Errorf("got %q, %v", sql, err)
	}
}

func FuzzReader(f *testing.F) {
	wire, _ := stream()
	f.Add(wire, uint16(16), uint16(100))
	f.Add([]byte("Q\x00\x00\x00\x04S\xff\xff\xff\xff"), uint16(5), uint16(0))
	f.Fuzz(func(t *testing.T, in []byte, size, limit uint16) {
		r := NewReader(iotest.HalfReader(bytes.NewReader(in)), HeaderSize+int(size))
		var out []byte
		for i := 0; ; i++ {
			h, err := r.Next()
			if err != nil {
				break
			}
			if i%2 == 0 {
				frame, err := r.Read(h, int(limit))
				if err != nil {
					break
				}
				out = append(out, frame...)
				continue
			}
			if r.Stream(h, func(piece []byte) error { out = append(out, piece...); return nil }) != nil {
				break
			}
		}
		if !bytes.HasPrefix(in, out) {
			t.Errorf("read %q from %q", out, in)
		}
	})
}
