package requestlog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"anyproxy/internal/redact"
)

// appendLine appends e as JSON with a newline. It says what encoding/json would
// say, in a third of the time: a body of 100 KB costs as much as relaying it.
func (e *Entry) appendLine(b []byte) []byte {
	b = append(b, `{"timestamp":"`...)
	b = append(e.Timestamp.AppendFormat(b, time.RFC3339Nano), '"')
	b = appendQuoted(appendName(b, "direction"), e.Direction)
	b = appendQuoted(appendName(b, "provider"), e.Provider)
	b = appendText(b, "model", e.Model)
	b = appendInt(b, "attempt_number", int64(e.AttemptNumber))
	b = appendText(b, "method", e.Method)
	b = appendText(b, "path", e.Path)
	b = appendHeaders(b, e.Headers)
	b = appendText(b, "body", e.Body)
	b = appendInt(b, "status_code", int64(e.StatusCode))
	b = appendFloat(b, "duration_seconds", e.Duration)
	b = appendInt(b, "token_count", e.TokenCount)
	b = strconv.AppendBool(appendName(b, "success"), e.Success)
	b = appendText(b, "error", e.Error)
	b = strconv.AppendBool(appendName(b, "is_streaming"), e.IsStreaming)
	b = appendText(b, "request_id", e.RequestID)
	b = appendText(b, "session", e.Session)
	b = appendFloat(b, "ttft_seconds", e.TTFT)
	b = appendFloat(b, "tps", e.TPS)
	b = appendInt(b, "input_tokens", e.InputTokens)
	b = appendInt(b, "output_tokens", e.OutputTokens)
	b = appendInt(b, "cache_read_tokens", e.CacheReadTokens)
	b = appendInt(b, "cache_write_tokens", e.CacheWriteTokens)
	if e.CostUSD != nil && finite(*e.CostUSD) {
		b = strconv.AppendFloat(appendName(b, "cost_usd"), *e.CostUSD, 'f', -1, 64)
	}
	b = appendText(b, "reason", e.Reason)
	if e.Decision != nil {
		if d, err := json.Marshal(e.Decision); err == nil { // an error is a number that is none: the rest still counts
			b = append(appendName(b, "decision"), d...)
		}
	}
	return append(b, "}\n"...)
}

func appendName(b []byte, name string) []byte {
	return append(append(append(b, `,"`...), name...), `":`...)
}

func appendText(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return appendQuoted(appendName(b, name), v)
}

func appendInt(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(appendName(b, name), v, 10)
}

// appendFloat leaves out 0 and what JSON has no number for.
func appendFloat(b []byte, name string, v float64) []byte {
	if v == 0 || !finite(v) {
		return b
	}
	return strconv.AppendFloat(appendName(b, name), v, 'f', -1, 64)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func appendHeaders(b []byte, h map[string]string) []byte {
	if len(h) == 0 {
		return b
	}
	b = appendName(b, "headers")
	sep := byte('{')
	for _, name := range slices.Sorted(maps.Keys(h)) {
		b = appendQuoted(append(b, sep), name)
		b = appendQuoted(append(b, ':'), h[name])
		sep = ','
	}
	return append(b, '}')
}

// appendQuoted appends s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	b = slices.Grow(b, len(s)+len(s)/16+2)
	b = append(b, '"')
	for len(s) >= 8 {
		w := word(s)
		b = binary.LittleEndian.AppendUint64(b, w)
		n := plain(w)
		b, s = b[:len(b)-8+n], s[n:]
		if n < 8 {
			b, s = appendRune(b, s)
		}
	}
	for s != "" {
		b, s = appendRune(b, s)
	}
	return append(b, '"')
}

func word(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// plain counts the bytes at the low end of w that a JSON string holds as they
// are: ASCII but controls, quote and backslash (Bit Twiddling Hacks, "Determine
// if a word has a byte less than n"). A false alarm can only stand above a true
// one, and the lowest one counts.
func plain(w uint64) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, slash := w^ones*'"', w^ones*'\\'
	hit := ((w-ones*0x20)&^w | (quote-ones)&^quote | (slash-ones)&^slash | w) & high
	return bits.TrailingZeros64(hit) / 8 // 64/8 when there is none
}

// appendRune appends what the first rune of s is in a JSON string, and returns
// the rest of s.
func appendRune(b []byte, s string) ([]byte, string) {
	if c := s[0]; c < utf8.RuneSelf {
		return appendByte(b, c), s[1:]
	}
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && n == 1:
		b = append(b, `\ufffd`...)
	case r == '\u2028' || r == '\u2029': // ends a line in JavaScript
		b = append(append(b, `\u202`...), hex[r&0xf])
	default:
		b = append(b, s[:n]...)
	}
	return b, s[n:]
}

const hex = "0123456789abcdef"

func appendByte(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c >= 0x20:
		return append(b, c)
	case c == '\n':
		return append(b, `\n`...)
	case c == '\t':
		return append(b, `\t`...)
	default:
		return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
	}
}

// redactLine returns line without secrets, line itself when it holds none.
func redactLine(line []byte, r *redact.Redactor) []byte {
	if clean := r.Bytes(line); &clean[0] == &line[0] {
		return line
	}
	return redactValues(line, r)
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
