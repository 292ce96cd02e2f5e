package audit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"
	"unicode"
)

// fillAll sets every field to something of its own, so that a field the encoder
// forgets, or writes under another's name, is missed when it is read back.
func fillAll(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
		return
	case *[]string:
		*x = []string{name + " one", name + " two"}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(name)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(len(name)))
	case reflect.Uint64:
		v.SetUint(uint64(len(name)))
	case reflect.Float64:
		v.SetFloat(float64(len(name)) + 0.125)
	case reflect.Struct:
		for i := range v.NumField() {
			fillAll(t, v.Field(i), name+"."+v.Type().Field(i).Name)
		}
	default:
		t.Fatalf("%s: no value for a %s", name, v.Kind())
	}
}

func TestEveryFieldIsWritten(t *testing.T) {
	var want Record
	fillAll(t, reflect.ValueOf(&want).Elem(), "r")
	want.V, want.Seq, want.Type = Version, 7, Result
	var prev [32]byte
	prev[0] = 0xab
	line := appendBody(appendHead(nil, 7, appendTime(nil, want.Time), &prev), &want, want.Statement)

	var got Record
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	want.Prev = fmt.Sprintf("%x", prev)
	want.Normalized = "" // never read back
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n%+v\nwanted\n%+v", got, want)
	}
	h, ok := parseHead(line)
	if !ok || h.seq != 7 || h.prev != prev {
		t.Errorf("parseHead: %v %v", h, ok)
	}
}

func TestEmptyFieldsAreNotWritten(t *testing.T) {
	got := string(appendBody(nil, &Record{Type: Decision, Identity: Identity{Name: "n"}}, ""))
	if want := `,"type":"decision","identity":{"name":"n"}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c", "line\nbreak\ttab\r", "\x00\x1b[31m\x7f", "grüße 数据 🙂", "\u202eevil\u200b", "\xff\xfe", "\U000e0041", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := quote(nil, s)
		for _, r := range string(q) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q is written with %q in it", s, r)
			}
		}
		var got string
		if err := json.Unmarshal(q, &got); err != nil {
			t.Fatalf("%q: %v", q, err)
		}
		// Both replace what is not UTF-8.
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q came back as %q", want, got)
		}
	})
}
