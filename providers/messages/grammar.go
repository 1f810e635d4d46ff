package messages

import "errors"

// Breaks of the grammar of a message stream
// (docs.anthropic.com/en/docs/build-with-claude/streaming).
var (
	errName       = errors.New("event name and JSON type differ")
	errNotStarted = errors.New("event before message_start")
	errBlockOpen  = errors.New("content block not stopped")
	errIndex      = errors.New("content block index does not rise")
	errNoBlock    = errors.New("event for a content block that is not open")
	errNoData     = errors.New("event without data")
)

// grammar follows the content blocks of a stream: one is open at a time, their
// indexes rise, and nothing but ping comes before message_start.
type grammar struct {
	started bool
	open    bool
	index   int64 // of the open block, or of the last one
	blocks  int
	shown   bool // the open block is text, of which every token shows
	seal    seal // of the open block
}

// seal is what is known of a block's signature.
type seal uint8

const (
	needless seal = iota // it is no thinking
	awaited
	there
)

// step takes the next event, which is not a failure. It reports whether the
// event is one too many and must be left out.
func (g *grammar) step(k kind, f *facts) (drop bool, err error) {
	if k == messageStart {
		drop, g.started = g.started, true
		return drop, nil
	}
	if k == ping || k == unknown {
		return false, nil
	}
	if !g.started {
		return false, errNotStarted
	}
	switch k {
	case blockStart:
		return false, g.start(f)
	case blockDelta, blockStop:
		if !g.open || f.index != g.index {
			return false, errNoBlock
		}
		g.open = k == blockDelta
	case messageDelta, messageStop:
		if g.open {
			return false, errBlockOpen
		}
	}
	return false, nil
}

func (g *grammar) start(f *facts) error {
	if g.open {
		return errBlockOpen
	}
	if f.index < 0 || g.blocks > 0 && f.index <= g.index {
		return errIndex
	}
	g.open, g.index, g.shown, g.seal = true, f.index, string(f.block) == "text", needless
	if string(f.block) == "thinking" {
		g.seal = awaited
	}
	g.blocks++
	return nil
}
