package http1

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// A head is the beginning of an answer (RFC 9112, sections 4 to 6).
type head struct {
	status int
	header http.Header
	frame  framing
	length uint64 // of a body of known length
	keep   bool   // the connection may be used again
}

// framing is how the end of a body is told.
type framing uint8

const (
	byLength framing = iota
	byChunks
	byEnd // of the connection
)

var errHead = errors.New("malformed head of an answer")

// headEnd finds where the head ends that b begins with, -1 when it has not come.
// No line end stands before from but in whole lines with text.
func headEnd(b []byte, from int) int {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1
		}
		from += i + 1
		switch rest := b[from:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return from + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return from + 2
		}
	}
}

// parseHead reads a whole head, with its blank line.
func parseHead(b []byte) (head, error) {
	if first := bytes.IndexByte(b, '\n') + 1; first < len(b) && (b[first] == ' ' || b[first] == '\t') {
		return head{}, fmt.Errorf("%w: a folded first line", errHead)
	}
	unfold(b)
	text := string(b)
	line, rest, _ := strings.Cut(text, "\n")
	h := head{}
	minor, err := h.statusLine(strings.TrimSuffix(line, "\r"))
	if err != nil {
		return h, err
	}
	n := strings.Count(rest, "\n")
	h.header = make(http.Header, n)
	values := make([]string, 0, n) // all that are first of their name
	for {
		if line, rest, _ = strings.Cut(rest, "\n"); line == "" || line == "\r" {
			break
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
		if !ok || !isToken(name) {
			return h, fmt.Errorf("%w: header line %.60q", errHead, name)
		}
		value = strings.Trim(value, " \t")
		if !isValue(value) {
			return h, fmt.Errorf("%w: value of header %.60s", errHead, name)
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if have := h.header[name]; have != nil {
			h.header[name] = append(have, value)
			continue
		}
		values = append(values, value)
		last := len(values)
		h.header[name] = values[last-1 : last : last]
	}
	return h, h.frameIt(minor)
}

// unfold makes one line of those that were folded (RFC 9112, section 5.2).
func unfold(b []byte) {
	for i := 1; ; i++ {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 || i+n+1 >= len(b) {
			return
		}
		i += n
		if c := b[i+1]; c == ' ' || c == '\t' {
			b[i] = ' '
			if b[i-1] == '\r' {
				b[i-1] = ' '
			}
		}
	}
}

// statusLine reads the first line, and gives the minor version.
func (h *head) statusLine(line string) (minor byte, err error) {
	const version = "HTTP/1."
	rest, ok := strings.CutPrefix(line, version)
	if !ok || len(rest) < len("1 200") || rest[0] < '0' || rest[0] > '1' || rest[1] != ' ' || len(rest) > 5 && rest[5] != ' ' {
		return 0, fmt.Errorf("%w: %.60q", errHead, line)
	}
	for _, c := range []byte(rest[2:5]) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%w: %.60q", errHead, line)
		}
		h.status = 10*h.status + int(c-'0')
	}
	if h.status < 100 {
		return 0, fmt.Errorf("%w: %.60q", errHead, line)
	}
	return rest[0], nil
}

// frameIt finds out how long the body is (RFC 9112, section 6.3) and whether the
// connection can be used again.
func (h *head) frameIt(minor byte) error {
	h.keep = minor == '1'
	for _, v := range h.header["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), "close") {
				h.keep = false
			}
		}
	}
	coding, coded := h.header["Transfer-Encoding"]
	lengths := h.header["Content-Length"]
	length, err := contentLength(lengths)
	switch {
	case err != nil:
		return err
	case coded && minor == '1' && (len(coding) != 1 || !strings.EqualFold(coding[0], "chunked")):
		return fmt.Errorf("%w: transfer encoding %.60q", errHead, coding)
	}
	switch {
	case h.status < 200 || h.status == http.StatusNoContent || h.status == http.StatusNotModified:
		h.frame, h.length = byLength, 0
	case coded && minor == '1':
		h.frame = byChunks
		if len(lengths) > 0 { // means nothing then, but somebody may be smuggling
			h.keep = false
			delete(h.header, "Content-Length")
		}
	case len(lengths) > 0:
		h.frame, h.length = byLength, length
	default:
		h.frame, h.keep = byEnd, false
	}
	delete(h.header, "Transfer-Encoding")
	return nil
}

// contentLength reads the values of that header, of which there may be none.
func contentLength(values []string) (n uint64, err error) {
	for _, v := range values {
		if v != values[0] {
			return 0, fmt.Errorf("%w: two values of Content-Length", errHead)
		}
		if n, err = strconv.ParseUint(v, 10, 63); err != nil || v[0] == '+' {
			return 0, fmt.Errorf("%w: Content-Length %.60q", errHead, v)
		}
	}
	return n, nil
}
