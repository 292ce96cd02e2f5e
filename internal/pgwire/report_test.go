package pgwire

import (
	"errors"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestReportRoundTrip(t *testing.T) {
	in := pgproto3.ErrorResponse{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: "23505", Message: "duplicate", Detail: "Key (id)=(1)",
		Hint: "try another", Position: 7, InternalPosition: 3, InternalQuery: "SELECT 1", Where: "here", SchemaName: "public", TableName: "t",
		ColumnName: "id", DataTypeName: "int4", ConstraintName: "t_pkey", File: "nbtinsert.c", Line: 664, Routine: "_bt_check_unique"}
	f := encode(t, &in)
	r, err := DecodeReport(f.Body())
	if err != nil {
		t.Fatal(err)
	}
	if r.Severity != "ERROR" || r.Code != "23505" || r.Message != "duplicate" || r.Detail != "Key (id)=(1)" || r.Hint != "try another" || r.Position != "7" {
		t.Errorf("got %+v", r)
	}
	var out pgproto3.ErrorResponse
	again := Frame(r.Append(nil, ErrorResponse))
	if err := out.Decode(again.Body()); err != nil || !reflect.DeepEqual(out, in) {
		t.Errorf("became %+v, %v", out, err)
	}
	cut := f.Body()
	for at := range cut {
		if _, err := DecodeReport(cut[:at:at]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
}

// Servers before 9.6 send only the severity in their own language.
func TestReportSeverity(t *testing.T) {
	for body, want := range map[string]string{"SERROR\x00\x00": "ERROR", "SFEHLER\x00VFATAL\x00\x00": "FATAL", "VFATAL\x00SFEHLER\x00\x00": "FATAL"} {
		if r, err := DecodeReport([]byte(body)); err != nil || r.Severity != want {
			t.Errorf("%q: %q, %v, want %q", body, r.Severity, err, want)
		}
	}
}

func TestReportOfOurOwn(t *testing.T) {
	f := Frame(Report{Severity: "FATAL", Code: "28000", Message: "no", Hint: "go"}.Append([]byte("x"), Notice)[1:])
	var out pgproto3.NoticeResponse
	if err := out.Decode(f.Body()); err != nil || f.Type() != Notice {
		t.Fatal(err)
	}
	want := pgproto3.NoticeResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "28000", Message: "no", Hint: "go"}
	if !reflect.DeepEqual(out, want) {
		t.Errorf("got %+v", out)
	}
}
