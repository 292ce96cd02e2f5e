package pgwire

// Report is an ErrorResponse or NoticeResponse.
type Report struct {
	Severity string // ERROR, FATAL, NOTICE …
	Code     string // SQLSTATE
	Message  string
	Detail   string
	Hint     string
	Position string // in characters of the statement, from 1; "" when there is none
	Others   []ReportField
}

// ReportField is a field of a report that is passed on as it is.
type ReportField struct {
	Type  byte
	Value string
}

// DecodeReport reads the body of an ErrorResponse or NoticeResponse.
func DecodeReport(body []byte) (Report, error) {
	var r Report
	for {
		if len(body) == 0 {
			return r, ErrMalformed
		}
		typ := body[0]
		if typ == 0 {
			return r, nil
		}
		value, rest, ok := cstring(body[1:])
		if !ok {
			return r, ErrMalformed
		}
		body = rest
		switch typ {
		case 'S':
			if r.Severity == "" {
				r.Severity = value
			}
			r.Others = append(r.Others, ReportField{typ, value})
		case 'V':
			r.Severity = value
			r.Others = append(r.Others, ReportField{typ, value})
		case 'C':
			r.Code = value
		case 'M':
			r.Message = value
		case 'D':
			r.Detail = value
		case 'H':
			r.Hint = value
		case 'P':
			r.Position = value
		default:
			r.Others = append(r.Others, ReportField{typ, value})
		}
	}
}

// Append appends the report as a message of the given type, ErrorResponse or
// Notice. Severities of a decoded report are among Others already.
func (r Report) Append(dst []byte, typ byte) []byte {
	var body []byte
	add := func(t byte, v string) {
		if v != "" {
			body = append(body, t)
			body = append(body, v...)
			body = append(body, 0)
		}
	}
	if len(r.Others) == 0 {
		add('S', r.Severity)
		add('V', r.Severity)
	}
	for _, f := range r.Others {
		if f.Type == 'S' || f.Type == 'V' {
			add(f.Type, f.Value)
		}
	}
	add('C', r.Code)
	add('M', r.Message)
	add('D', r.Detail)
	add('H', r.Hint)
	add('P', r.Position)
	for _, f := range r.Others {
		if f.Type != 'S' && f.Type != 'V' {
			add(f.Type, f.Value)
		}
	}
	return AppendFrame(dst, typ, body, []byte{0})
}
