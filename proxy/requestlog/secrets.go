package requestlog

import (
	"bytes"
	"encoding/json"

	"anyproxy/internal/redact"
)

// redactLine returns a line without secrets, the same one when there are none.
func redactLine(line []byte, r *redact.Redactor) ([]byte, error) {
	if clean := r.Bytes(line); &clean[0] == &line[0] {
		return line, nil
	}
	return redactValues(line, r)
}

// redactValues replaces secrets in the string values of a JSON text. Its syntax
// and its names stay whatever a secret looks like: a placeholder key may well
// be "provider". Values are decoded for it, since in their written form a match
// can begin in the middle of an escape.
func redactValues(line []byte, r *redact.Redactor) ([]byte, error) {
	out := make([]byte, 0, len(line)+len(redact.Dots))
	for {
		start := bytes.IndexByte(line, '"')
		if start < 0 {
			return append(out, line...), nil
		}
		end := start + 1 + stringEnd(line[start+1:]) + 1
		out = append(out, line[:start]...)
		text := line[start:end]
		if line = line[end:]; line[0] != ':' {
			var err error
			if text, err = redactString(text, r); err != nil {
				return nil, err
			}
		}
		out = append(out, text...)
	}
}

// redactString replaces secrets in one JSON string, quotes included.
func redactString(quoted []byte, r *redact.Redactor) ([]byte, error) {
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return nil, err
	}
	clean := r.String(s)
	if clean == s {
		return quoted, nil
	}
	return json.Marshal(clean)
}

// stringEnd finds the quote that ends the JSON string whose inside b opens with.
func stringEnd(b []byte) int {
	for i := 0; ; i++ {
		i += bytes.IndexAny(b[i:], `"\`)
		if b[i] == '"' {
			return i
		}
		i++ // what is escaped
	}
}
