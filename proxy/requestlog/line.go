package requestlog

import (
	"bytes"
	"encoding/json"

	"anyproxy/internal/redact"
)

// keepBuffer is the largest buffer that is kept for the next line: one large
// body shall not hold its memory for ever.
const keepBuffer = 1 << 20

// encoder makes lines. Its buffer is used again.
type encoder struct{ buf bytes.Buffer }

// encode returns e as a line, with its newline and without secrets, valid until
// the next call.
func (enc *encoder) encode(e *Entry, r *redact.Redactor) ([]byte, error) {
	if enc.buf.Cap() > keepBuffer {
		enc.buf = bytes.Buffer{}
	}
	enc.buf.Reset()
	j := json.NewEncoder(&enc.buf)
	j.SetEscapeHTML(false)
	if err := j.Encode(e); err != nil {
		return nil, err
	}
	line := enc.buf.Bytes()
	if clean := r.Bytes(line); &clean[0] == &line[0] {
		return line, nil
	}
	return redactValues(line, r), nil
}

// redactValues replaces secrets in the string values of a JSON text. Its syntax
// and its names stay whatever a secret looks like: a placeholder key may well
// be "provider".
func redactValues(line []byte, r *redact.Redactor) []byte {
	out := make([]byte, 0, len(line)+len(redact.Dots))
	for {
		open := bytes.IndexByte(line, '"')
		if open < 0 {
			return append(out, line...)
		}
		end := open + 1 + stringEnd(line[open+1:])
		out = append(out, line[:open+1]...)
		if text := line[open+1 : end]; line[end+1] == ':' {
			out = append(out, text...)
		} else {
			out = append(out, r.Bytes(text)...)
		}
		out = append(out, '"')
		line = line[end+1:]
	}
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

func countLines(b []byte) int { return bytes.Count(b, []byte("\n")) }
