package config

import (
	"errors"
	"strings"
)

var (
	errQuoteOpen = errors.New("a quote or a backslash at its end is not closed")
	// errShell names none of what was found: it may stand in a secret.
	errShell = errors.New("no shell runs it, so variables, pipes and redirections outside of quotes mean nothing; quote them, or write {cmd: [program, argument, ...]}")
)

// splitWords splits a command line as a POSIX shell does, but expands nothing:
// single quotes take all as it is, double quotes and no quotes know the
// backslash (IEEE Std 1003.1-2024, Shell Command Language, 2.2). What would
// mean something to a shell is refused: "$" and "`" outside of single quotes,
// operators, comments and patterns outside of all.
func splitWords(line string) (words []string, err error) {
	var word strings.Builder
	begun := false // also an empty word, between quotes
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case strings.IndexByte(" \t\n", c) >= 0:
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
			continue
		case c == '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, errQuoteOpen
			}
			word.WriteString(line[i+1 : i+1+end])
			i += end + 1
		case c == '"':
			if i, err = doubleQuoted(line, i+1, &word); err != nil {
				return nil, err
			}
		case c == '\\':
			if i++; i == len(line) {
				return nil, errQuoteOpen
			}
			word.WriteByte(line[i])
		case strings.IndexByte("$`|&;<>()*?[", c) >= 0, !begun && (c == '#' || c == '~'):
			return nil, errShell
		default:
			word.WriteByte(c)
		}
		begun = true
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// doubleQuoted reads to the closing quote and returns its place.
func doubleQuoted(line string, i int, word *strings.Builder) (int, error) {
	for ; i < len(line); i++ {
		switch c := line[i]; c {
		case '"':
			return i, nil
		case '$', '`':
			return 0, errShell
		case '\\':
			if i+1 < len(line) && strings.IndexByte("$`\"\\\n", line[i+1]) >= 0 {
				i++
			}
			word.WriteByte(line[i])
		default:
			word.WriteByte(c)
		}
	}
	return 0, errQuoteOpen
}
