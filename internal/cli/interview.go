package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/term"
	"github.com/muesli/cancelreader"
)

// interview asks a person. One without lines takes the usual answers.
type interview struct {
	lines *bufio.Reader
	out   io.Writer
}

// errInputEnded is that of a person who leaves instead of answering.
var errInputEnded = errors.New("the input ended")

// newInterview is nil where nobody could see a question or answer it. It reads
// until ctx ends; end gives the terminal back.
func newInterview(ctx context.Context, c *call) (talk *interview, end func()) {
	keyboard, ok := c.in.(*os.File)
	if !ok || !term.IsTerminal(keyboard.Fd()) {
		return nil, nil
	}
	screen := terminalOf(c.out, c.errw.raw)
	if screen == nil {
		return nil, nil
	}
	keys, err := cancelreader.NewReader(keyboard)
	if err != nil {
		return nil, nil
	}
	stop := context.AfterFunc(ctx, func() { keys.Cancel() })
	return &interview{bufio.NewReader(keys), c.errw.screen(screen)}, func() {
		stop()
		_ = keys.Close() // nobody reads any more
	}
}

// terminalOf is the first of them that is a terminal, nil when none is.
func terminalOf(outs ...io.Writer) *os.File {
	for _, out := range outs {
		if f, ok := out.(*os.File); ok && term.IsTerminal(f.Fd()) {
			return f
		}
	}
	return nil
}

// say shows a text, to those who are asked.
func (i *interview) say(text string) {
	if i.lines != nil {
		fmt.Fprint(i.out, text)
	}
}

// answer asks until read takes what was typed. An empty line is the usual answer.
func (i *interview) answer(question string, read func(typed string) error) error {
	for {
		i.say(question + " ")
		line, err := i.lines.ReadString('\n')
		if err != nil {
			i.say("\n")
			return errInputEnded
		}
		if err = read(strings.TrimSpace(line)); err == nil {
			return nil
		}
		i.say("  " + err.Error() + "\n")
	}
}

func (i *interview) yes(question string, usual bool) (bool, error) {
	if i.lines == nil {
		return usual, nil
	}
	choice := "[y/N]"
	if usual {
		choice = "[Y/n]"
	}
	err := i.answer(question+" "+choice, func(typed string) error {
		switch strings.ToLower(typed) {
		case "":
		case "y", "yes":
			usual = true
		case "n", "no":
			usual = false
		default:
			return errors.New("y for yes, n for no")
		}
		return nil
	})
	return usual, err
}

// choose returns the index of what was chosen; the first one is usual.
func (i *interview) choose(question string, options []string) (chosen int, err error) {
	if i.lines == nil {
		return 0, nil
	}
	i.say(question + "\n")
	for n, option := range options {
		i.say(fmt.Sprintf("  %d  %s\n", n+1, option))
	}
	err = i.answer("Number? [1]", func(typed string) error {
		if typed == "" {
			return nil
		}
		n, err := strconv.Atoi(typed)
		if err != nil || n < 1 || n > len(options) {
			return fmt.Errorf("a number from 1 to %d", len(options))
		}
		chosen = n - 1
		return nil
	})
	return chosen, err
}

// word asks for a name without spaces, such as a model's.
func (i *interview) word(question, usual string) (string, error) {
	if i.lines == nil {
		return usual, nil
	}
	err := i.answer(fmt.Sprintf("%s [%s]", question, usual), func(typed string) error {
		if strings.ContainsFunc(typed, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			return errors.New("one word, please")
		}
		if typed != "" {
			usual = typed
		}
		return nil
	})
	return usual, err
}
