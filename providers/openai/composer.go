package openai

import (
	"bytes"
	"errors"
	"math/rand/v2"

	"anyproxy/providers"
)

// maxHeld bounds what is kept of an answer: arguments of tool calls until they
// are known to be whole, and what waits behind them.
const maxHeld = 16 << 20

// maxItems bounds the blocks of an answer: no model makes as many, and each
// piece of a tool call is looked for among them.
const maxItems = 4 << 10

var (
	errItems     = errors.New("more than 4096 content blocks")
	errHeld      = errors.New("more than 16 MiB of tool calls")
	errNoFinish  = errors.New("answer ended without a finish_reason")
	errNoContent = errors.New("answer without content or finish_reason")
)

// A composer makes a message of chunks, block by block. It passes the first open
// block on as it comes and holds the later ones back until that is whole.
type composer struct {
	printer
	out   []byte
	model string // what the message is said to come from unless the upstream says
	names *toolNames
	seals *seals // keeps what must come back with a call

	chunk   chunk
	usual   usual
	items   []item
	current int // the item that is being told, or the next
	blocks  int // that have been started
	held    int
	begun   bool // the message has been started
	refused bool
	full    bool // there were more than maxItems
	finish  []byte
	usage   providers.Usage
	counted bool

	text  int  // bytes of content since the last frame
	delta bool // there has been some
}

// A printer writes the parts of a message in one of its two forms.
type printer interface {
	start(m *composer)
	open(m *composer, it *item)
	// piece writes content of the open block. Tool calls are given in pieces
	// as they come; at close their whole input is known.
	piece(m *composer, it *item, raw []byte)
	close(m *composer, it *item, input []byte)
	end(m *composer, stop string)
}

// take adds what the chunk says.
func (m *composer) take() error {
	k := &m.chunk
	if k.counted {
		m.usage, m.counted = k.usage, true
	}
	if len(k.model) > 0 && !m.begun {
		m.model = plain(k.model)
	}
	m.say(thinkingItem, k.reasoning)
	m.say(textItem, k.text)
	if len(k.refusal) > 0 {
		m.refused = true
		m.say(textItem, k.refusal)
	}
	for i := range k.calls {
		m.call(&k.calls[i])
		if m.full {
			break
		}
	}
	if len(k.finish) > 0 {
		m.finish = append(m.finish[:0], k.finish...)
	}
	return m.goOn()
}

// goOn tells what can be told by now.
func (m *composer) goOn() error {
	switch {
	case m.held > maxHeld:
		return errHeld
	case m.full:
		return errItems
	}
	return m.pump(false)
}

// say adds a piece of text or thinking.
func (m *composer) say(kind itemKind, raw []byte) {
	if len(raw) == 0 {
		return
	}
	last := len(m.items) - 1
	if last < 0 || m.items[last].kind != kind {
		last = m.begins(item{kind: kind})
	}
	m.add(last, raw)
}

// begins adds an item, unless there are too many.
func (m *composer) begins(it item) int {
	if len(m.items) < maxItems {
		m.items = append(m.items, it)
	} else {
		m.full = true
	}
	return len(m.items) - 1
}

// add adds a piece of an item's content: at once where it is the one that is
// being told.
func (m *composer) add(i int, raw []byte) {
	it := &m.items[i]
	if len(it.carry) > 0 {
		raw = append(it.carry, raw...)
		it.carry = nil
	}
	if n := unfinished(raw); n > 0 {
		it.carry = bytes.Clone(raw[len(raw)-n:])
		raw = raw[:len(raw)-n]
	}
	carry := it.carry
	raw = paired(sound(raw))
	if it.kind != toolItem {
		m.tell(i, raw)
		return
	}
	m.held += len(raw)
	for !m.full {
		n := m.items[i].feed(raw)
		m.addArguments(i, raw[:n])
		if raw = raw[n:]; len(raw) == 0 {
			return
		}
		// Another call's arguments are glued to these; what is left over is theirs.
		it := &m.items[i]
		it.carry = nil
		i = m.begins(item{kind: toolItem, index: it.index, name: it.name[:len(it.name):len(it.name)], carry: carry})
	}
}

// addArguments tells of a call's arguments, unless they may turn out to be none.
func (m *composer) addArguments(i int, raw []byte) {
	if it := &m.items[i]; !it.started() || it.scan.garbage {
		it.wait = append(it.wait, raw...)
		return
	}
	m.tell(i, raw)
}

func (m *composer) tell(i int, raw []byte) {
	it := &m.items[i]
	if len(raw) == 0 {
		return
	}
	if i == m.current && it.open && len(it.wait) == 0 {
		m.print(it, raw)
		return
	}
	m.held += len(raw)
	it.wait = append(it.wait, raw...)
}

func (m *composer) print(it *item, raw []byte) {
	m.text += len(raw)
	m.delta = true
	m.piece(m, it, raw)
}

// call adds a piece of a tool call.
func (m *composer) call(p *piece) {
	i := m.find(p)
	if m.full {
		return
	}
	it := &m.items[i]
	if len(it.id) == 0 && len(p.id) > 0 {
		it.id = bytes.Clone(p.id)
	}
	if len(p.name) > 0 && !it.open && !bytes.Equal(it.name, p.name) {
		it.name = append(it.name, p.name...)
	}
	if p.seal != nil {
		it.seal = bytes.Clone(p.seal)
	}
	if p.object != nil {
		m.add(i, appendCompact(nil, p.object))
	}
	if len(p.arguments) > 0 {
		m.add(i, p.arguments)
	}
}

// find gives the item of a piece, a new one when it begins a call. Upstreams
// number their calls, or all of them 0, or none; and they repeat the id, or say
// it once, or never.
func (m *composer) find(p *piece) int {
	found := len(m.items) - 1
	for found >= 0 && !m.items[found].takes(p) {
		found--
	}
	if found >= 0 {
		it := &m.items[found]
		another := len(p.id) > 0 && len(it.id) > 0 && !bytes.Equal(it.id, p.id)
		next := it.scan.closed && len(p.name) > 0 && p.opens() && (len(p.id) == 0 || !bytes.Equal(it.id, p.id))
		if !another && !next {
			return found
		}
	}
	return m.begins(item{kind: toolItem, index: p.index})
}

// takes reports whether a piece may be one of the item.
func (it *item) takes(p *piece) bool {
	switch {
	case it.kind != toolItem:
		return false
	case p.index >= 0:
		return it.index == p.index
	default:
		return len(p.id) == 0 || len(it.id) == 0 || bytes.Equal(it.id, p.id)
	}
}

// opens reports whether the piece begins a call's arguments.
func (p *piece) opens() bool {
	return p.object != nil || bytes.HasPrefix(bytes.TrimLeft(p.arguments, " "), []byte("{"))
}

// pump tells what can be told. At the end of the answer that is all of it.
func (m *composer) pump(all bool) error {
	for m.current < len(m.items) {
		it := &m.items[m.current]
		if !it.open {
			if !it.ready() && !all {
				return nil
			}
			if it.kind == toolItem && len(it.name) == 0 {
				return errNameless
			}
			m.begin(it)
		}
		if len(it.wait) > 0 && (it.kind != toolItem || it.started() && !it.scan.garbage) {
			m.print(it, it.wait)
			it.wait = nil
		}
		last := m.current == len(m.items)-1
		if !all && (last || it.kind == toolItem && !it.scan.closed) {
			return nil
		}
		if err := m.finishItem(it, last); err != nil {
			return err
		}
		m.current++
	}
	return nil
}

// ready reports whether enough is known of an item to start its block. A name
// may come in pieces: it is whole when there are arguments.
func (it *item) ready() bool {
	if it.kind == toolItem {
		return len(it.name) > 0 && it.started()
	}
	return len(it.wait) > 0
}

// begin starts an item's block, and the message before the first one.
func (m *composer) begin(it *item) {
	m.startMessage()
	it.open = true
	if it.kind == toolItem {
		it.told = m.newID(it)
		m.seals.keep(it.told, it.seal)
	}
	m.open(m, it)
	m.blocks++
}

func (m *composer) startMessage() {
	if !m.begun {
		m.begun = true
		m.start(m)
	}
}

// newID is the id under which the client knows a call: the upstream's own,
// unless it has none or has used it before.
func (m *composer) newID(it *item) string {
	if len(it.id) == 0 {
		return randomID("toolu_")
	}
	id := wrapID(it.id)
	for i := range m.items[:m.current] {
		if m.items[i].told == id {
			return randomID("toolu_")
		}
	}
	return id
}

// finishItem closes an item's block. Arguments that are no JSON are a failure,
// unless they are the last thing before the limit of tokens.
func (m *composer) finishItem(it *item, last bool) error {
	if len(it.carry) > 0 && it.kind != toolItem {
		m.print(it, []byte(`\ufffd`))
	}
	var input []byte
	if it.kind == toolItem {
		var err error
		if input, err = it.input(); len(it.carry) > 0 {
			err = errArguments // half a letter is left over
		}
		if err != nil && !(last && m.cut()) {
			return err
		}
	}
	m.close(m, it, input)
	it.open, it.args = false, nil
	return nil
}

// cut reports whether the answer met the limit of tokens.
func (m *composer) cut() bool { return string(m.finish) == "length" }

// complete ends the message. done says that the upstream said so, be it without
// a reason.
func (m *composer) complete(done bool) error {
	if len(m.finish) == 0 && (!done || len(m.items) == 0) {
		if len(m.items) == 0 {
			return errNoContent
		}
		return errNoFinish
	}
	if err := m.pump(true); err != nil {
		return err
	}
	m.startMessage()
	m.end(m, m.stopReason())
	return nil
}

// stopReason says why the model stopped, by the finish_reason and by what came:
// several upstreams say stop where they call tools.
func (m *composer) stopReason() string {
	calls := false
	for i := range m.items {
		calls = calls || m.items[i].kind == toolItem
	}
	switch reason := string(m.finish); {
	case reason == "length":
		return "max_tokens"
	case reason == "content_filter", m.refused && !calls:
		return "refusal"
	case calls:
		return "tool_use"
	default:
		return "end_turn"
	}
}

// generating reports whether a block is open.
func (m *composer) generating() bool { return m.current < len(m.items) && m.items[m.current].open }

// quiet reports whether what is being generated is no text.
func (m *composer) quiet() bool {
	return m.current < len(m.items) && m.items[m.current].kind != textItem
}

// randomID makes an id in the shape of the Messages API: a prefix, 01 and 22
// letters and digits.
func randomID(prefix string) string {
	const letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	id := append(make([]byte, 0, len(prefix)+24), prefix...)
	id = append(id, "01"...)
	for range 22 {
		id = append(id, letters[rand.IntN(len(letters))])
	}
	return string(id)
}
