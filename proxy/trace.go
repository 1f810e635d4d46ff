package proxy

import "net/http"

// traceOf is the id of the trace that a request belongs to, "" for none (W3C
// Trace Context, section 3.2.2). A traceparent that is none of version 00, or of
// a later one that begins like it, is taken out of h with its tracestate:
// whoever gets it would have to start anew anyway.
func traceOf(h http.Header) string {
	lines := h["Traceparent"]
	if len(lines) == 0 {
		delete(h, "Tracestate") // it says nothing alone
		return ""
	}
	if id := traceID(lines[0]); id != "" && len(lines) == 1 {
		return id
	}
	delete(h, "Traceparent")
	delete(h, "Tracestate")
	return ""
}

// traceID reads 00-<32 hex>-<16 hex>-<2 hex>.
func traceID(s string) string {
	const whole = 55
	if len(s) < whole || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return ""
	}
	version, id, parent, flags := s[:2], s[3:35], s[36:52], s[53:55]
	for _, part := range []string{version, id, parent, flags} {
		if !lowerHex(part) {
			return ""
		}
	}
	later := version != "00" && version != "ff" && (len(s) == whole || s[whole] == '-')
	if version == "00" && len(s) != whole || version != "00" && !later || zeros(id) || zeros(parent) {
		return ""
	}
	return id
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
