package tui

import (
	"strings"
	"testing"
	"time"
)

func TestFilterWords(t *testing.T) {
	s := subject{text: "claude-sonnet-4-5 ok laptop 200 zai glm-4.6 rate_limited 429 anthropic", id: "req_7f3ac2",
		took: 6800 * time.Millisecond, tps: 71.4, cost: 0.084}
	tests := []struct {
		text string
		want bool
	}{
		{"", true}, {"zai", true}, {"ZAI 429", true}, {"zai 529", false}, {"!zai", false}, {"!haiku sonnet", true},
		{">5s", true}, {">7s", false}, {"<10s >500ms", true}, {">6", true}, {"!>5s", false},
		{"cost>0.1", false}, {"cost>$0.05", true}, {"cost<1", true},
		{"tok<20", false}, {"tok>70", true},
		{"id:7f", true}, {"id:req_7f", true}, {"id:3a", false}, {"!id:7f", false},
		{"!", true}, {"!!zai", true}, {">", true}, {"id:", true}, {"cost>", true}, {"cost>x", true},
	}
	for _, tt := range tests {
		f := newFilter(tt.text)
		if got := f.passesAll() || f.matches(s); got != tt.want {
			t.Errorf("%q lets it through: %v, want %v", tt.text, got, tt.want)
		}
	}
	unknown := subject{text: "x"}
	for _, text := range []string{"tok<20", "tok>20"} {
		if f := newFilter(text); f.matches(unknown) {
			t.Errorf("%q matches a request whose speed is not known", text)
		}
	}
}

// shownRequests are the ids in the rows of the requests.
func shownRequests(m *model) (ids []string) {
	for _, i := range m.listings[paneRequests].order {
		ids = append(ids, shortID(m.shown.Requests[i].ID))
	}
	return ids
}

func TestFilterAsTyped(t *testing.T) {
	m := testModel(steady(busyDay()), 160, 45, trueColorEnv)
	press(m, "3", "/", "z", "a", "i", " ", "4", "2", "9")
	if got := strings.Join(shownRequests(m), " "); got != "00000r20 00000r13" {
		t.Errorf("zai 429 shows %s", got)
	}
	if !strings.Contains(text(m), "2 of 17") {
		t.Error("does not say how many of how many")
	}
	press(m, "backspace", "ctrl+w", "enter", `\`)
	if n := len(shownRequests(m)); n != 17 || !strings.Contains(text(m), "filter off: zai") {
		t.Errorf("off, it shows %d rows", n)
	}
	press(m, `\`)
	if n := len(shownRequests(m)); n != 5 {
		t.Errorf("on again, it shows %d rows of zai, want 5", n)
	}
	press(m, "1", "tab")
	if n := len(shownRequests(m)); n != 5 {
		t.Errorf("on the overview it shows %d rows, want the same 5", n)
	}
	press(m, "esc")
	if n := len(shownRequests(m)); n != 17 {
		t.Errorf("cleared, it shows %d rows", n)
	}
}

func TestFilterTakesPastedTextAndNoCommands(t *testing.T) {
	m := testModel(steady(busyDay()), 120, 36, trueColorEnv)
	press(m, "4", "/")
	msg := keyMsg("quit\x1b[31m q")
	msg.Paste = true
	if cmd := m.Update(msg); cmd != nil || m.listings[paneEvents].filter.text != `quit\x1b[31m q` {
		t.Errorf("does %v, holds %q", cmd, m.listings[paneEvents].filter.text)
	}
}

func TestSortKeys(t *testing.T) {
	names := func(m *model) string {
		var names []string
		for _, i := range m.listings[paneProviders].order {
			names = append(names, m.shown.Providers[i].Name)
		}
		return strings.Join(names, " ")
	}
	m := testModel(steady(busyDay()), 160, 45, trueColorEnv)
	asConfigured := names(m)
	press(m, "s")
	if got := names(m); got != "anthropic openrouter bedrock-usw2 local-ollama zai" || !strings.Contains(text(m), "by share") || !strings.Contains(text(m), "TRAFFIC▾") {
		t.Errorf("by share: %s", got)
	}
	press(m, "S")
	if got := names(m); got != "zai local-ollama bedrock-usw2 openrouter anthropic" || !strings.Contains(text(m), "TRAFFIC▴") {
		t.Errorf("reversed: %s", got)
	}
	for range providerOrders[1:] {
		press(m, "s")
	}
	if got := names(m); got != asConfigured {
		t.Errorf("after the last order: %s", got)
	}
	press(m, "3", "s")
	if got := shownRequests(m)[0]; got != "00000r09" {
		t.Errorf("the longest request is %s, want r09", got)
	}
	press(m, "esc")
	if got := shownRequests(m)[0]; got != "00000r20" {
		t.Errorf("esc leaves %s first, want the newest", got)
	}
}
