package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// parseTree reads the one YAML document of a file. The error of a file that
// holds none, more than one or no YAML is a single Problem: a parser that lost
// its way has nothing true to say about the rest.
func parseTree(data []byte) (*yaml.Node, Problems) {
	if ps := checkText(data); ps != nil {
		return nil, ps
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	doc, err := nextDocument(dec)
	if errors.Is(err, io.EOF) || err == nil && isNull(doc.Content[0]) {
		return nil, one(Pos{1, 1}, "the file is empty")
	}
	if err != nil {
		return nil, syntaxProblem(data, err)
	}
	switch second, err := nextDocument(dec); {
	case errors.Is(err, io.EOF):
		return doc.Content[0], nil
	case err != nil:
		return nil, syntaxProblem(data, err)
	default:
		return nil, one(posOf(second), "a second YAML document begins here; a file holds one")
	}
}

func one(at Pos, reason string) Problems {
	return Problems{{Line: at.Line, Col: at.Col, Reason: reason}}
}

// checkText finds what no YAML text may hold; yaml.v3 reports it without a line.
func checkText(data []byte) Problems {
	line, col := 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return one(Pos{line, col}, "not UTF-8 text")
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r <= 0x9f && r != 0x85,
			r == 0xfffe, r == 0xffff, r == 0xfeff && i > 0:
			return one(Pos{line, col}, fmt.Sprintf("a control character (U+%04X)", r))
		}
		col++
		if r == '\n' {
			line, col = line+1, 1
		}
		i += size
	}
	return nil
}

// nextDocument turns a panic of yaml.v3 into an error: it panics where it meets
// a state that it believes impossible, and a config file must not be able to
// end a running proxy.
func nextDocument(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if recover() != nil {
			doc, err = nil, errors.New("yaml: cannot be understood")
		}
	}()
	doc = new(yaml.Node)
	err = dec.Decode(doc)
	return doc, err
}

var (
	yamlLine      = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)
	unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)
)

// syntaxProblem places an error of yaml.v3, whose own line is often missing or
// that of an enclosing block. Its message is a fixed text but for one, which
// quotes the file and is replaced.
func syntaxProblem(data []byte, err error) Problems {
	text := err.Error()
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		return one(placeOf(data, "*"+m[1]), "a value that begins with * must be quoted (YAML aliases are not supported)")
	}
	m := yamlLine.FindStringSubmatch(text)
	reason := text[len(m[0]):]
	stated, _ := strconv.Atoi(m[1])
	if strings.HasPrefix(reason, "did not find expected") {
		stated++ // the parser counts from 0 where the scanner counts from 1
	}
	lines := splitLines(string(data))
	line := min(max(1, firstBadLine(data, stated)), len(lines))
	content := lines[line-1]
	indent := content[:len(content)-len(strings.TrimLeft(content, " \t"))]
	at := Pos{line, len(indent) + 1}
	if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
		return one(Pos{line, tab + 1}, "a tab cannot indent YAML; use spaces")
	}
	if better, ok := syntaxHints[reason]; ok {
		reason = better
	}
	return one(at, "not valid YAML: "+reason)
}

// syntaxHints say what the commonest messages of the scanner mean in practice.
var syntaxHints = map[string]string{
	"mapping values are not allowed in this context":        "a key stands where none can (a wrong indentation, or a value with ': ' that needs quotes)",
	"did not find expected key":                             "a key was expected here (a wrong indentation?)",
	"could not find expected ':'":                           "a key without ':' (it needs a space behind it)",
	"found character that cannot start any token":           "a value that begins with %, @ or ` must be quoted",
	"did not find expected ',' or '}'":                      "a { } without its ',' or '}'",
	"did not find expected ',' or ']'":                      "a [ ] without its ',' or ']'",
	"did not find expected <document start>":                "this line does not belong to what stands before it (a wrong indentation?)",
	"found unexpected end of stream":                        "a quote that does not end",
	"did not find expected alphabetic or numeric character": "a value that begins with * or & must be quoted",
	"did not find expected '-' indicator":                   "a '- ' was expected here (a wrong indentation?)",
}

// lookBack is how many lines before the one at which the parser gave up are
// tried as the culprit.
const lookBack = 8

// firstBadLine is the line without which the text before it is sound, and the
// stated one where the fault began further back (a quote or bracket left open).
func firstBadLine(data []byte, stated int) int {
	r := &lineReader{data: data}
	sound(r)
	end := r.read
	for range lookBack {
		end = bytes.LastIndexByte(data[:max(0, end-1)], '\n') + 1
		if sound(bytes.NewReader(data[:end])) {
			return 1 + bytes.Count(data[:end], []byte("\n"))
		}
	}
	return stated
}

// sound reports whether all of r is YAML.
func sound(r io.Reader) bool {
	dec := yaml.NewDecoder(r)
	for {
		if _, err := nextDocument(dec); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// lineReader hands out at most one line per Read and so shows how far a parser
// came before it gave up.
type lineReader struct {
	data []byte
	read int
}

func (r *lineReader) Read(p []byte) (int, error) {
	line := r.data[r.read:]
	if len(line) == 0 {
		return 0, io.EOF
	}
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end+1]
	}
	n := copy(p, line)
	r.read += n
	return n, nil
}

// placeOf is where a word first begins a value.
func placeOf(data []byte, word string) Pos {
	for i, line := range splitLines(string(data)) {
		for from := 0; ; {
			at := strings.Index(line[from:], word)
			if at < 0 {
				break
			}
			from += at
			if from == 0 || strings.IndexByte(" \t[{,:-", line[from-1]) >= 0 {
				return Pos{i + 1, utf8.RuneCountInString(line[:from]) + 1}
			}
			from += len(word)
		}
	}
	return Pos{1, 1}
}
