package tui

// action is what a key does.
type action uint8

const (
	noAction action = iota
	actUp
	actDown
	actNextPane
	actPreviousPane
	actFreeze
	actHelp
	actBack
	actQuit
)

// binding ties keys, named as Bubble Tea names them, to an action. The footer
// and the help are made from the same table.
type binding struct {
	action action
	keys   []string
	help   string // the line in the help; bindings with the same text share it
	footer string // the word in the footer, "" = not there
	first  bool   // the footer shows only the first key
}

var keymap = []binding{
	{action: actUp, keys: []string{"up", "k"}, help: "select a row in the focused pane", footer: "select", first: true},
	{action: actDown, keys: []string{"down", "j"}, help: "select a row in the focused pane", footer: "select", first: true},
	{action: actNextPane, keys: []string{"tab"}, help: "focus the next pane", footer: "pane"},
	{action: actPreviousPane, keys: []string{"shift+tab"}, help: "focus the previous pane"},
	{action: actFreeze, keys: []string{" "}, help: "freeze the screen, the proxy goes on", footer: "freeze"},
	{action: actHelp, keys: []string{"?"}, help: "show or hide the keys", footer: "keys"},
	{action: actBack, keys: []string{"esc"}, help: "close the help, stay when asked to quit"},
	{action: actQuit, keys: []string{"q", "ctrl+c"}, help: "quit, asks while requests run", footer: "quit", first: true},
}

// actionOf returns what a key does, noAction for one that is not in the table.
func actionOf(key string) action {
	for _, b := range keymap {
		for _, k := range b.keys {
			if k == key {
				return b.action
			}
		}
	}
	return noAction
}

// keyLine is one line of the help or one word of the footer.
type keyLine struct{ keys, text string }

// helpLines lists every key of the table.
func helpLines(g *glyphs) []keyLine {
	return keyLines(g, " ", func(b binding) (string, []string) { return b.help, b.keys })
}

// footerLines lists the keys worth a reminder.
func footerLines(g *glyphs) []keyLine {
	separator := ""
	if g == &asciiGlyphs {
		separator = "/"
	}
	return keyLines(g, separator, func(b binding) (string, []string) {
		if b.first {
			return b.footer, b.keys[:1]
		}
		return b.footer, b.keys
	})
}

// keyLines joins the keys of neighbours with the same text.
func keyLines(g *glyphs, separator string, of func(binding) (string, []string)) []keyLine {
	var lines []keyLine
	for _, b := range keymap {
		text, keys := of(b)
		if text == "" {
			continue
		}
		if n := len(lines); n == 0 || lines[n-1].text != text {
			lines = append(lines, keyLine{text: text})
		}
		line := &lines[len(lines)-1]
		for _, k := range keys {
			if line.keys != "" {
				line.keys += separator
			}
			line.keys += g.key(k)
		}
	}
	return lines
}

// key is a key's name on screen.
func (g *glyphs) key(name string) string {
	switch name {
	case "up":
		return g.up
	case "down":
		return g.down
	case " ":
		return "space"
	}
	return name
}
