package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/muesli/cancelreader"
)

// terminal is where a person may be asked something, nil where nobody could see
// the question or answer it.
func (c *call) terminal() *os.File {
	in, ok := c.in.(*os.File)
	out, shown := c.errw.raw.(*os.File)
	if !ok || !shown || !term.IsTerminal(in.Fd()) || !term.IsTerminal(out.Fd()) {
		return nil
	}
	return in
}

// confirm asks the person at the terminal a question. All but y and yes is no, the
// end of the input too.
func (c *call) confirm(ctx context.Context, question string) (bool, error) {
	ignoreBackgroundReads()
	keys, err := cancelreader.NewReader(c.terminal())
	if err != nil {
		return false, err
	}
	defer keys.Close()
	defer context.AfterFunc(ctx, func() { keys.Cancel() })()
	fmt.Fprintf(c.errw, "%s [y/N] ", question)
	line, err := bufio.NewReader(keys).ReadString('\n')
	if err != nil {
		fmt.Fprintln(c.errw) // an end without an answer is one
		return false, ctx.Err()
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}
