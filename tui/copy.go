package tui

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"anyproxy/metrics"

	tea "github.com/charmbracelet/bubbletea"
)

// clipboard is the terminal's way to the clipboard of the person's machine.
// It works over ssh, where no other program reaches that.
type clipboard interface {
	// Escape sends a sequence that does not disturb what is painted.
	Escape(seq string) error
}

// maxClip is how many bytes of base64 terminals take (xterm and others: 74 994
// characters with the rest of the sequence); more goes into a file.
const maxClip = 74_900

// osc52 is the sequence that sets the clipboard. tmux passes it on when it is
// wrapped and allowed to (allow-passthrough), or takes it for itself when it is
// not wrapped (set-clipboard on); so it gets both.
func osc52(text string, getenv func(string) string) string {
	seq := "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(text)) + "\a"
	if getenv("TMUX") == "" {
		return seq
	}
	return seq + "\x1bPtmux;" + strings.ReplaceAll(seq, "\x1b", "\x1b\x1b") + "\x1b\\"
}

// copyItem is a thing that can be copied.
type copyItem struct {
	key, label string
	text       func() string
}

// copies lists what can be copied of the selected row.
func (m *model) copies() []copyItem {
	i := m.selected(m.focus)
	if i < 0 {
		return nil
	}
	asJSON := func(v any) func() string {
		return func() string {
			b, err := json.MarshalIndent(v, "", "  ")
			if err != nil {
				return err.Error()
			}
			return string(b)
		}
	}
	text := func(s string) func() string { return func() string { return s } }
	switch m.focus {
	case paneProviders:
		p := &m.shown.Providers[i]
		return []copyItem{{"i", "name", text(p.Name)}, {"e", "endpoint", text(p.Endpoint)}, {"j", "JSON", asJSON(p)}}
	case paneRequests:
		r := &m.shown.Requests[i]
		return []copyItem{{"i", "id", text(r.ID)}, {"c", "curl", func() string { return curl(m.shown.Listen, r) }},
			{"r", "row", text(requestLine(r))}, {"j", "JSON", asJSON(r)}}
	case paneEvents:
		e := &m.folds[i].Event
		items := []copyItem{{"r", "row", text(eventLine(e))}, {"j", "JSON", asJSON(e)}}
		if e.Request != "" {
			items = append([]copyItem{{"i", "request's id", text(e.Request)}}, items...)
		}
		return items
	case paneLogs:
		line := m.line(i)
		return []copyItem{{"r", "line", text(line.Level + " " + line.Text)}, {"j", "JSON", asJSON(line)}}
	}
	return nil
}

// curl asks the proxy what the request asked, but for its content, which is not
// kept. The key is the shell's.
func curl(listen string, r *metrics.RequestRecord) string {
	body, _ := json.Marshal(map[string]any{"model": r.Model, "max_tokens": 64, "stream": r.Stream,
		"messages": []map[string]string{{"role": "user", "content": "hello"}}})
	quoted := strings.ReplaceAll(string(body), "'", `'\''`)
	return "curl -N " + clientURL(listen) + "/v1/messages \\\n" +
		"  -H \"x-api-key: $ANTHROPIC_API_KEY\" -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \\\n" +
		"  -d '" + quoted + "'"
}

// requestLine is a request as one line of text.
func requestLine(r *metrics.RequestRecord) string {
	var route []string
	for i := range r.Decision.Attempts {
		a := &r.Decision.Attempts[i]
		step := a.Provider
		if a.Outcome != "" && a.Outcome != metrics.OutcomeOK {
			step = failedAttempt(a, true, false)
		}
		route = append(route, step)
	}
	return fmt.Sprintf("%s %s %s %s, %s, %d in, %d out, %s", r.Time.UTC().Format("2006-01-02T15:04:05Z"), r.ID, r.Model,
		strings.Join(route, " -> "), r.Phase, r.Tokens.Input+r.Tokens.CacheRead+r.Tokens.CacheWrite, r.Tokens.Output, took(r.Duration, 1))
}

// eventLine is an event as one line of text.
func eventLine(e *metrics.Event) string {
	who := e.Provider
	if e.To != "" {
		who += " -> " + e.To
	}
	return strings.Join(strings.Fields(e.Time.UTC().Format("2006-01-02T15:04:05Z")+" "+string(e.Kind)+" "+who+" "+e.Text), " ")
}

// copyKey copies what the key of the popup stands for.
func (m *model) copyKey(name string) tea.Cmd {
	m.setMode(browsing)
	for i, item := range m.offered {
		if name != item.key && (name != "enter" && name != "y" || i != 0) {
			continue
		}
		return m.copyText(item.label, item.text())
	}
	return nil
}

func (m *model) copyText(label, text string) tea.Cmd {
	if m.terminal == nil || base64.StdEncoding.EncodedLen(len(text)) > maxClip {
		return m.writeFile("txt", []byte(text+"\n"), label+" is too long for the clipboard")
	}
	terminal, seq := m.terminal, osc52(text, m.getenv)
	return run(func() string {
		if err := terminal.Escape(seq); err != nil {
			return "copy: " + err.Error()
		}
		return fmt.Sprintf("%s copied, %s bytes", label, count(int64(len(text))))
	})
}

// paintCopy lists what can be copied, in a box above the footer.
func (m *model) paintCopy() {
	items := m.offered
	w := 24
	for _, item := range items {
		w = max(w, width(item.label)+10)
	}
	w, h := min(w, m.canvas.w), min(len(items)+2, m.canvas.h)
	box := m.canvas.region(rect{min(2, m.canvas.w-w), max(0, m.canvas.h-h-1), w, h})
	box.clear()
	in := box.frame("Copy", spans{{"esc", fg(dim)}}, true)
	for y, item := range items {
		in.spans(1, y, in.w-1, spans{{item.key, strong(accent)}, {"  " + item.label, style{}}})
	}
}
