package tui

import "strings"

// action is what a key does.
type action uint8

const (
	noAction action = iota
	actUp
	actDown
	actTop
	actBottom
	actHalfDown
	actHalfUp
	actPageDown
	actPageUp
	actLeft
	actRight
	actOpen
	actFilter
	actFilterOff
	actSort
	actReverse
	actFollow
	actKind
	actWrap
	actProblem
	actNext
	actPrevious
	actHold
	actProbe
	actReset
	actApply
	actReject
	actDiff
	actEdit
	actZoom
	actScreen
	actNextPane
	actPreviousPane
	actReview
	actFreeze
	actCopy
	actExport
	actMask
	actTheme
	actHelp
	actBack
	actDetach
	actQuit
)

// place is where the keys of a person go: a screen, or a detail on it.
type place uint16

const (
	atOverview place = 1 << iota
	atProviders
	atProvider // the detail
	atRequests
	atRequest // the detail
	atEvents
	atConfig
	atLogs

	anywhere  = atLogs<<1 - 1
	atLists   = atOverview | atProviders | atRequests | atEvents | atLogs
	atDetails = atProvider | atRequest
)

// binding ties keys, named as Bubble Tea names them, to an action. The footer,
// the help and the documentation are made from the same table.
type binding struct {
	action action
	keys   []string
	at     place  // where it holds
	help   string // the line in the help; neighbours with the same text share it
	footer string // the word in the footer, "" = not there
	label  string // the keys as the footer writes them, "" = the first
	drop   int    // from the footer the highest leave first
	acts   bool   // changes something: absent on a read-only screen
}

// keymap lists the keys in the order of the help. What holds at one place only
// comes before what holds everywhere.
var keymap = []binding{
	{action: actUp, keys: []string{"up", "k"}, at: anywhere, help: "select a row, or scroll", footer: "select", label: "↑↓", drop: 6},
	{action: actDown, keys: []string{"down", "j"}, at: anywhere, help: "select a row, or scroll"},
	{action: actOpen, keys: []string{"enter"}, at: atLists &^ atLogs, help: "open what is selected", footer: "details", drop: 5},
	{action: actFilter, keys: []string{"/"}, at: atLists, help: "filter as you type, see below", footer: "filter", drop: 7},
	{action: actFilterOff, keys: []string{`\`}, at: atLists, help: "filter off and on again"},
	{action: actSort, keys: []string{"s"}, at: atOverview | atProviders | atRequests, help: "sort by the next column", footer: "sort", drop: 12},
	{action: actReverse, keys: []string{"S"}, at: atOverview | atProviders | atRequests, help: "reverse the order"},
	{action: actProblem, keys: []string{"o"}, at: atLists | atRequest, help: "go to the next problem", footer: "next problem", drop: 14},
	{action: actFollow, keys: []string{"f"}, at: atLists, help: "follow the newest"},
	{action: actKind, keys: []string{"l"}, at: atEvents | atLogs, help: "show the next kind or level only", footer: "kind", drop: 4},
	{action: actWrap, keys: []string{"w"}, at: atLogs, help: "wrap long lines", footer: "wrap", drop: 9},
	{action: actLeft, keys: []string{"left", "h"}, at: atLogs, help: "move along long lines", footer: "along", label: "←→", drop: 13},
	{action: actRight, keys: []string{"right"}, at: atLogs, help: "move along long lines"},
	{action: actPrevious, keys: []string{"left", "["}, at: atDetails, help: "previous item", footer: "other", label: "←→", drop: 8},
	{action: actNext, keys: []string{"right", "]"}, at: atDetails, help: "next item"},
	{action: actPrevious, keys: []string{"p"}, at: atRequest, help: "previous item"},
	{action: actNext, keys: []string{"n"}, at: atRequest, help: "next item"},
	{action: actBack, keys: []string{"esc"}, at: atDetails, help: "go back to the list", footer: "back", drop: 2},
	{action: actHold, keys: []string{"H"}, at: atOverview | atProviders | atProvider, help: "hold the provider, or let it return", footer: "hold", drop: 10, acts: true},
	{action: actProbe, keys: []string{"p"}, at: atOverview | atProviders | atProvider, help: "probe the provider with a tiny request", footer: "probe", drop: 15, acts: true},
	{action: actReset, keys: []string{"R"}, at: atOverview | atProviders | atProvider, help: "reset its breaker and measurements", footer: "reset", drop: 16, acts: true},
	{action: actApply, keys: []string{"y"}, at: atConfig, help: "apply what is shown", footer: "apply", drop: 1, acts: true},
	{action: actReject, keys: []string{"n"}, at: atConfig, help: "reject it, the running one stays", footer: "reject", drop: 1, acts: true},
	{action: actDiff, keys: []string{"d"}, at: atConfig, help: "show the file's lines, or the summary", footer: "details", drop: 2},
	{action: actEdit, keys: []string{"e"}, at: atConfig, help: "edit the file with $EDITOR", footer: "edit", drop: 9, acts: true},
	{action: actZoom, keys: []string{"z"}, at: atOverview, help: "zoom the focused pane", footer: "zoom", drop: 17},

	{action: actScreen, keys: []string{"1", "2", "3", "4", "5", "6"}, at: anywhere, help: "go to a screen", footer: "screens", label: "1-6", drop: 8},
	{action: actNextPane, keys: []string{"tab"}, at: anywhere, help: "next pane, or screen"},
	{action: actPreviousPane, keys: []string{"shift+tab"}, at: anywhere, help: "previous pane, or screen"},
	{action: actTop, keys: []string{"g", "home"}, at: anywhere, help: "to the top, to the end"},
	{action: actBottom, keys: []string{"G", "end"}, at: anywhere, help: "to the top, to the end"},
	{action: actHalfUp, keys: []string{"ctrl+u"}, at: anywhere, help: "half a page up, down"},
	{action: actHalfDown, keys: []string{"ctrl+d"}, at: anywhere, help: "half a page up, down"},
	{action: actPageUp, keys: []string{"pgup"}, at: anywhere, help: "a page up, down"},
	{action: actPageDown, keys: []string{"pgdown"}, at: anywhere, help: "a page up, down"},
	{action: actReview, keys: []string{"c"}, at: anywhere, help: "review the changed configuration"},
	{action: actFreeze, keys: []string{" "}, at: anywhere, help: "freeze the screen, the proxy goes on", footer: "freeze", drop: 11},
	{action: actCopy, keys: []string{"y"}, at: anywhere &^ atConfig, help: "copy what is selected", footer: "copy", drop: 13},
	{action: actExport, keys: []string{"E"}, at: atLists, help: "write the list to a file"},
	{action: actMask, keys: []string{"m"}, at: anywhere, help: "mask names and ids"},
	{action: actTheme, keys: []string{"t"}, at: anywhere, help: "dark or light"},
	{action: actDetach, keys: []string{"D", "ctrl+z"}, at: anywhere, help: "leave the dashboard, the proxy goes on"},
	{action: actHelp, keys: []string{"?", "f1"}, at: anywhere, help: "these keys; type to search them", footer: "keys", drop: 3},
	{action: actBack, keys: []string{"esc"}, at: anywhere, help: "close, clear the filter, go back"},
	{action: actQuit, keys: []string{"q", "ctrl+c"}, at: anywhere, help: "quit, asks while requests run", footer: "quit"},
}

// actionOf returns what a key does at a place, noAction for one that does
// nothing there.
func actionOf(key string, at place) action {
	for _, b := range keymap {
		if b.at&at == 0 {
			continue
		}
		for _, k := range b.keys {
			if k == key {
				return b.action
			}
		}
	}
	return noAction
}

// keyLine is one line of the help or one word of the footer.
type keyLine struct {
	keys, text string
	drop       int
	action     action // of a word of the footer
}

// helpLines lists the keys that hold at a place: those that are the place's
// own and those that hold everywhere.
func helpLines(at place, readOnly bool, g *glyphs) (own, everywhere []keyLine) {
	for _, b := range keymap {
		if b.at&at == 0 || b.acts && readOnly {
			continue
		}
		list := &own
		if b.at == anywhere {
			list = &everywhere
		}
		n := len(*list)
		if n == 0 || (*list)[n-1].text != b.help {
			*list = append(*list, keyLine{text: b.help})
			n++
		}
		line := &(*list)[n-1]
		line.keys = strings.TrimLeft(line.keys+" "+g.keys(b), " ")
	}
	return own, everywhere
}

// footerLines lists the keys worth a reminder at a place.
func footerLines(at place, readOnly bool, g *glyphs) []keyLine {
	var lines []keyLine
	for _, b := range keymap {
		if b.at&at == 0 || b.footer == "" || b.acts && readOnly {
			continue
		}
		keys := g.key(b.keys[0])
		if b.label != "" {
			keys = g.label(b.label)
		}
		lines = append(lines, keyLine{keys, b.footer, b.drop, b.action})
	}
	return lines
}

// keys names all keys of a binding, many by their range.
func (g *glyphs) keys(b binding) string {
	if len(b.keys) > 4 {
		return b.label
	}
	shown := make([]string, len(b.keys))
	for i, name := range b.keys {
		shown[i] = g.key(name)
	}
	return strings.Join(shown, " ")
}

// key is a key's name on screen.
func (g *glyphs) key(name string) string {
	switch name {
	case "up":
		return g.up
	case "down":
		return g.down
	case "left":
		return g.left
	case "right":
		return g.right
	case " ":
		return "space"
	case "f1":
		return "F1"
	}
	return name
}

// label spells arrows out where they cannot be shown.
func (g *glyphs) label(s string) string {
	switch s {
	case "↑↓":
		return g.up + g.upDown + g.down
	case "←→":
		return g.left + g.upDown + g.right
	}
	return s
}
