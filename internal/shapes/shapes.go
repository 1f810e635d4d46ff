// Package shapes holds requests as real clients send them, so that tests can
// replay them where no client is installed.
//
// A shape is a recorded request with its words taken out: keys, order, types,
// numbers, escapes and lengths are the client's, texts are filler. Scrub makes
// shapes; the end-to-end tests record them anew (see package e2e).
package shapes

import (
	"bufio"
	"bytes"
	"embed"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
)

// Stand-ins for what is secret or personal in a recorded request. They are the
// same in every shape, in header and body alike.
const (
	ClientKey = "scrubbed-client-key"
	SessionID = "00000000-0000-4000-8000-000000000001"
)

// Shape is one request of a real client.
type Shape struct {
	Name   string // the run and the turn within it, e.g. "tool-2"
	Method string
	Path   string      // with its query string
	Header http.Header // without Host and Content-Length, which follow from where it is sent
	Body   []byte
}

//go:embed testdata/*.http
var files embed.FS

// All returns every recorded shape, sorted by name.
func All() []Shape {
	entries, err := files.ReadDir("testdata")
	if err != nil {
		panic(fmt.Sprintf("shapes: list the embedded files: %v", err))
	}
	all := make([]Shape, 0, len(entries))
	for _, e := range entries {
		data, err := files.ReadFile(path.Join("testdata", e.Name()))
		if err != nil {
			panic(fmt.Sprintf("shapes: read %s: %v", e.Name(), err))
		}
		s, err := Parse(strings.TrimSuffix(e.Name(), ".http"), data)
		if err != nil {
			panic(fmt.Sprintf("shapes: %v", err))
		}
		all = append(all, s)
	}
	return all
}

// Parse reads a request in HTTP/1.1 wire form, which is how shapes are stored:
// the body stands there byte for byte.
func Parse(name string, data []byte) (Shape, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
	if err != nil {
		return Shape{}, fmt.Errorf("parse shape %s: %w", name, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return Shape{}, fmt.Errorf("read the body of shape %s: %w", name, err)
	}
	r.Header.Del("Content-Length")
	return Shape{Name: name, Method: r.Method, Path: r.RequestURI, Header: r.Header, Body: body}, nil
}

// Marshal writes s in the form that Parse reads, headers sorted.
func (s Shape) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\n", s.Method, s.Path)
	h := s.Header.Clone()
	h.Set("Host", "127.0.0.1")
	h.Set("Content-Length", fmt.Sprint(len(s.Body)))
	var lines bytes.Buffer
	h.Write(&lines) // to memory: cannot fail
	b.WriteString(strings.ReplaceAll(lines.String(), "\r\n", "\n"))
	b.WriteByte('\n')
	b.Write(s.Body)
	return b.Bytes()
}
