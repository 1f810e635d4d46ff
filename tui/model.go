package tui

import (
	"fmt"
	"time"

	"anyproxy/metrics"

	tea "github.com/charmbracelet/bubbletea"
)

const (
	busyTick  = 250 * time.Millisecond // while a request runs
	idleTick  = time.Second
	hintTime  = 4 * time.Second // how long a hint stays in the footer
	maxEvents = 1000            // kept, the oldest go
)

// tickMsg asks for the next look at the Source.
type tickMsg struct{}

// model is the state of the dashboard. Update changes it and paints what
// became dirty; view is the finished text.
type model struct {
	source  Source
	now     func() time.Time
	wash    func(string) string // makes foreign text safe
	motion  bool
	stopped <-chan struct{} // closed when nobody waits for a tick any more

	theme  *theme
	canvas *canvas
	layout layout
	dirty  [paneCount]bool
	view   string

	latest metrics.Snapshot // the newest
	shown  metrics.Snapshot // what the screen shows: latest, or what was frozen
	events []metrics.Event  // shown, oldest first
	newer  []metrics.Event  // those that came while frozen
	seen   uint64           // Seq of the newest event
	lost   uint64           // events that the ring overwrote unseen
	frozen bool
	step   int   // of the spinner
	second int64 // whose figures the slow panes show

	focus      pane
	providers  list
	requests   list
	eventList  list
	help       bool
	asking     bool // whether to quit
	hint       string
	hintEnds   time.Time
	background bool // another window has the keyboard
}

func newModel(o Options) *model {
	ascii := o.ASCII || needsASCII(o.Getenv)
	m := &model{
		source: o.Source, now: o.Now, wash: clean, motion: !o.NoMotion,
		theme: newTheme(profileOf(o.Getenv), isLight(o.Getenv), ascii),
		focus: paneProviders,
	}
	if ascii {
		m.wash = func(s string) string { return toASCII(clean(s)) }
	}
	return m
}

// Init takes the first look.
func (m *model) Init() tea.Cmd {
	m.pull()
	m.paint()
	return m.tick()
}

// tick waits until the next look is due.
func (m *model) tick() tea.Cmd {
	wait, stopped := m.interval(), m.stopped
	return func() tea.Msg {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
			return tickMsg{}
		case <-stopped:
			return nil
		}
	}
}

func (m *model) interval() time.Duration {
	if m.latest.InFlight > 0 {
		return busyTick
	}
	return idleTick
}

// Update handles one message and leaves the view up to date.
func (m *model) Update(msg tea.Msg) (cmd tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg:
		m.pull()
		cmd = m.tick()
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
	case tea.KeyMsg:
		cmd = m.keys(msg)
	case tea.FocusMsg:
		m.background = false
		m.soil()
	case tea.BlurMsg:
		m.background = true
	}
	m.paint()
	return cmd
}

// pull takes a snapshot and decides which panes it changes.
func (m *model) pull() {
	s := m.source.Snapshot(m.seen)
	cleanSnapshot(&s, m.wash)
	news := m.take(s.Events)
	m.lost += s.EventsLost
	changed := s.Generation != m.latest.Generation
	m.latest = s
	if m.hint != "" && !m.now().Before(m.hintEnds) {
		m.hint = ""
		m.soil(paneFooter)
	}
	if m.frozen {
		m.soil(paneHeader, paneRequests)
		return
	}
	if m.background && !changed && s.InFlight == 0 {
		return
	}
	moved := len(s.Providers) != len(m.shown.Providers)
	m.shown = s
	if moved {
		m.relayout()
	}
	m.soil(paneHeader)
	if changed || s.InFlight > 0 {
		m.soil(paneRequests)
		m.step++
	}
	if news {
		m.soil(paneEvents)
	}
	if second := s.At.Unix(); second != m.second {
		m.second = second
		m.soil(paneChart, paneProviders)
	}
}

// take keeps new events and reports whether there were any to show.
func (m *model) take(news []metrics.Event) bool {
	if len(news) == 0 {
		return false
	}
	m.seen = news[len(news)-1].Seq
	if m.frozen {
		m.newer = keepLast(append(m.newer, news...), maxEvents)
		return false
	}
	m.events = keepLast(append(m.events, news...), maxEvents)
	return true
}

// keepLast copies, so that what is dropped can be freed.
func keepLast(events []metrics.Event, n int) []metrics.Event {
	if len(events) <= n {
		return events
	}
	return append([]metrics.Event(nil), events[len(events)-n:]...)
}

// keys handles a key message. Several characters that were typed fast arrive
// as one; pasted ones are not commands.
func (m *model) keys(msg tea.KeyMsg) tea.Cmd {
	if msg.Paste {
		return nil
	}
	if msg.Type != tea.KeyRunes || msg.Alt {
		return m.key(msg.String())
	}
	for _, r := range msg.Runes {
		if cmd := m.key(string(r)); cmd != nil {
			return cmd
		}
	}
	return nil
}

func (m *model) key(name string) tea.Cmd {
	do := actionOf(name)
	if m.asking && do != actQuit {
		m.asking = false
		m.soil(paneFooter)
		if do == actBack {
			return nil
		}
	}
	switch do {
	case actQuit:
		return m.quit()
	case actUp:
		m.move(-1)
	case actDown:
		m.move(1)
	case actNextPane:
		m.focusNext(1)
	case actPreviousPane:
		m.focusNext(-1)
	case actFreeze:
		m.freeze()
	case actHelp:
		m.help = !m.help
		m.soil()
	case actBack:
		if m.help {
			m.help = false
			m.soil()
		}
	case noAction:
		// Suspending would stop the whole process, the proxy with it.
		if name == "ctrl+z" {
			m.tell("ctrl+z would stop the proxy too; q quits")
		}
	}
	return nil
}

// quit asks first while requests run.
func (m *model) quit() tea.Cmd {
	if m.asking || m.latest.InFlight == 0 {
		return tea.Quit
	}
	m.asking = true
	m.soil(paneFooter)
	return nil
}

// question is what quit asks.
func (m *model) question() string {
	return fmt.Sprintf("%d running: q again to quit, esc", m.latest.InFlight)
}

func (m *model) tell(hint string) {
	m.hint, m.hintEnds = hint, m.now().Add(hintTime)
	m.soil(paneFooter)
}

// freeze holds the screen still, or lets it catch up.
func (m *model) freeze() {
	m.frozen = !m.frozen
	if !m.frozen {
		m.events = keepLast(append(m.events, m.newer...), maxEvents)
		m.newer = nil
		m.shown = m.latest
		m.relayout()
	}
	m.soil()
}

// newerRequests counts the requests that came after the screen was frozen.
func (m *model) newerRequests() int {
	n := 0
	for _, r := range m.latest.Requests {
		if r.Time.After(m.shown.At) {
			n++
		}
	}
	return n
}

// rows returns the selection of a pane, the number of its rows and their identities.
func (m *model) rows(p pane) (*list, int, func(int) string) {
	switch p {
	case paneRequests:
		return &m.requests, len(m.shown.Requests), func(i int) string { return m.shown.Requests[i].ID }
	case paneEvents:
		folds := foldEvents(m.events)
		return &m.eventList, len(folds), func(i int) string { return fmt.Sprint(folds[i].first) }
	}
	return &m.providers, len(m.shown.Providers), func(i int) string { return m.shown.Providers[i].Name }
}

func (m *model) move(d int) {
	l, n, id := m.rows(m.focus)
	l.move(d, n, id)
	m.soil(m.focus)
}

var focusOrder = []pane{paneProviders, paneRequests, paneEvents}

// focusNext goes round the panes that are on screen.
func (m *model) focusNext(d int) {
	at := 0
	for i, p := range focusOrder {
		if p == m.focus {
			at = i
		}
	}
	for range focusOrder {
		at = (at + d + len(focusOrder)) % len(focusOrder)
		if next := focusOrder[at]; !m.layout.at[next].empty() {
			m.soil(m.focus, next)
			m.focus = next
			return
		}
	}
}

func (m *model) resize(w, h int) {
	w, h = max(0, w), max(0, h)
	m.canvas = newCanvas(w, h, m.theme)
	m.relayout()
}

// relayout places the panes anew. A focused pane that has no place any more
// hands the focus on.
func (m *model) relayout() {
	m.layout = newLayout(m.canvas.w, m.canvas.h, len(m.shown.Providers))
	if m.layout.at[m.focus].empty() {
		m.focusNext(1)
	}
	m.canvas.region(rect{w: m.canvas.w, h: m.canvas.h}).clear()
	m.soil()
}

// soil marks panes for painting, all of them without arguments.
func (m *model) soil(panes ...pane) {
	for _, p := range panes {
		m.dirty[p] = true
	}
	if len(panes) == 0 {
		for p := range m.dirty {
			m.dirty[p] = true
		}
	}
}

var painters = [paneCount]func(*model, region){
	paneHeader:    (*model).paintHeader,
	paneChart:     (*model).paintChart,
	paneProviders: (*model).paintProviders,
	paneRequests:  (*model).paintRequests,
	paneEvents:    (*model).paintEvents,
	paneFooter:    (*model).paintFooter,
}

// paint paints the dirty panes. The help lies on top, so all are painted under it.
func (m *model) paint() {
	if m.dirty == [paneCount]bool{} {
		return
	}
	if m.help {
		m.soil()
	}
	for p, paint := range painters {
		if r := m.layout.at[p]; m.dirty[p] && !r.empty() {
			on := m.canvas.region(r)
			on.clear()
			paint(m, on)
		}
	}
	m.dirty = [paneCount]bool{}
	if m.help {
		m.paintHelp()
	}
	m.view = m.canvas.encode()
}

// open draws the frame of a pane, or its rule, and returns the inside.
func (m *model) open(r region, p pane, title string, note spans) region {
	if m.layout.framed {
		return r.frame(title, note, p == m.focus)
	}
	return r.ruled(title, note, p == m.focus)
}

// clock is the time of day in the zone of the user.
func (m *model) clock(t time.Time) string { return t.In(m.now().Location()).Format(time.TimeOnly) }

// seriesRole is the colour of the provider at an index of the config.
func seriesRole(i int) role { return series + role(i%seriesCount) }

// markRow recolours the selected row of the focused pane. Where there is no
// colour and no reverse, a sign in the first column stands for it.
func (m *model) markRow(r region, y int) {
	if m.theme.profile == noStyle {
		r.put(0, y, m.theme.glyphs.marker, 1, style{})
		return
	}
	r.recolour(y, func(s style) style {
		if s.bg == plain {
			s.bg = selected
		}
		return s
	})
}
