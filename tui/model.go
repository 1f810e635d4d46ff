package tui

import (
	"context"
	"io"
	"time"

	"anyproxy/metrics"

	tea "github.com/charmbracelet/bubbletea"
)

const (
	busyTick = 250 * time.Millisecond // while a request runs
	idleTick = time.Second
	hintTime = 4 * time.Second // how long a hint stays in the footer
	// maxRows is how many events, lines of the log and finished requests are
	// kept; the oldest go.
	maxRows = 1000
)

// tickMsg asks for the next look at the Source.
type tickMsg struct{}

// model is the state of the dashboard. Update changes it and paints what
// became dirty; view is the finished text.
type model struct {
	source   Source
	logs     Logs
	actions  Actions
	readOnly bool
	now      func() time.Time
	zone     *time.Location
	wash     func(string) string // makes foreign text safe
	motion   bool
	ctx      context.Context // ends with Run
	getenv   func(string) string
	in       io.Reader // the terminal, for the editor
	out      io.Writer
	terminal clipboard
	folder   string // where files are written

	theme  *theme
	canvas *canvas
	layout layout
	dirty  [paneCount]bool
	view   string
	// covered says that a popup lies over the screen, also over what is no pane.
	covered bool

	latest metrics.Snapshot // the newest
	bare   metrics.Snapshot // what the screen shows: latest, or what was frozen
	shown  metrics.Snapshot // bare, or with names replaced
	// replace hides names in text while they are masked, nil while they are not.
	replace func(string) string
	past    past            // finished requests, more than a Snapshot holds
	events  []metrics.Event // shown, oldest first
	lines   []metrics.LogLine
	newer   []metrics.Event   // those that came while frozen
	later   []metrics.LogLine // likewise
	seen    uint64            // Seq of the newest event
	read    uint64            // Seq of the newest event when the events were last looked at
	logged  uint64            // Seq of the newest line
	lost    uint64            // events that the ring overwrote unseen
	frozen  bool
	step    int   // of the spinner
	second  int64 // whose figures the slow panes show

	screen   screen
	detail   bool // what is selected is shown in full
	zoomed   bool // the focused pane has the screen
	scroll   int  // of the detail and the review
	focus    pane
	listings [paneCount]listing
	folds    []fold            // the events as the pane shows them
	levels   []int             // of lines, those of the chosen level, newest first
	kind     metrics.EventKind // the only one that the events screen shows, "" = all
	level    int               // which of logLevels are shown
	along    int               // columns that the log is moved to the left
	wrap     bool              // of the log
	masked   bool
	review   reviewState

	mode       mode
	search     string // of the help
	question   question
	offered    []copyItem // by the popup: of the row that was selected when it opened
	hint       string
	hintEnds   time.Time
	background bool // another window has the keyboard
	detached   bool // the person leaves and the program goes on
	panicked   error
}

func newModel(o Options) *model {
	ascii := o.ASCII || needsASCII(o.Getenv)
	m := &model{
		source: o.Source, logs: o.Logs, actions: o.Actions, readOnly: o.ReadOnly || o.Actions == nil,
		now: o.Now, zone: o.Now().Location(), wash: clean, motion: !o.NoMotion,
		ctx: context.Background(), getenv: o.Getenv, in: o.In, out: o.Out, folder: o.Folder,
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
	m.read = m.seen
	m.paint()
	return m.tick()
}

// tick waits until the next look is due.
func (m *model) tick() tea.Cmd {
	wait, ctx := m.interval(), m.ctx
	return func() tea.Msg {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
			return tickMsg{}
		case <-ctx.Done():
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
	case doneMsg:
		m.pull() // what was done shows at once
		m.tell(m.wash(msg.text))
	case panicMsg:
		m.panicked = msg.err
		cmd = tea.Quit
	}
	m.paint()
	return cmd
}

// pull takes a snapshot and decides which panes it changes.
func (m *model) pull() {
	s := m.source.Snapshot(m.seen)
	cleanSnapshot(&s, m.wash)
	shortenPaths(s.Events, s.Config)
	s.Requests = m.past.merge(s.Requests, m.wash)
	news := m.take(s.Events)
	m.lost += s.EventsLost
	lines := m.pullLines()
	changed := s.Generation != m.latest.Generation
	m.latest = s
	m.follow(s.Review)
	if m.hint != "" && !m.now().Before(m.hintEnds) {
		m.hint = ""
		m.soil(paneFooter)
	}
	if m.frozen {
		m.soil(paneHeader, paneTabs, paneRequests, paneLogs)
		return
	}
	if m.background && !changed && s.InFlight == 0 {
		return
	}
	moved := len(s.Providers) != len(m.shown.Providers) || (s.Spend == nil) != (m.shown.Spend == nil)
	m.present(s)
	if moved {
		m.unsettle(paneProviders)
		m.relayout()
	}
	m.soil(paneHeader)
	if changed || s.InFlight > 0 {
		m.unsettle(paneRequests)
		m.step++
	}
	if news {
		m.unsettle(paneEvents)
	}
	if lines {
		m.unsettle(paneLogs)
	}
	if changed || news {
		m.soil(paneTabs)
	}
	if second := s.At.Unix(); second != m.second {
		m.second = second
		m.unsettle(paneProviders)
		m.soil(paneChart, paneSpend, paneReview)
	}
	if m.screen == providersScreen || changed || s.InFlight > 0 {
		m.soil(paneDetail)
	}
}

// pullLines takes what the log has told since and reports whether that changes
// the pane.
func (m *model) pullLines() bool {
	if m.logs == nil {
		return false
	}
	lines := m.logs.Lines(m.logged)
	if len(lines) == 0 {
		return false
	}
	m.logged = lines[len(lines)-1].Seq
	for i := range lines {
		lines[i].Level, lines[i].Text = m.wash(lines[i].Level), m.wash(lines[i].Text)
	}
	if m.frozen {
		m.later = keepLast(append(m.later, lines...), maxRows)
		return false
	}
	m.lines = keepLast(append(m.lines, lines...), maxRows)
	return true
}

// take keeps new events and reports whether there were any to show.
func (m *model) take(news []metrics.Event) bool {
	if len(news) == 0 {
		return false
	}
	m.seen = news[len(news)-1].Seq
	if m.frozen {
		m.newer = keepLast(append(m.newer, news...), maxRows)
		return false
	}
	m.events = keepLast(append(m.events, news...), maxRows)
	return true
}

// keepLast copies, so that what is dropped can be freed.
func keepLast[T any](rows []T, n int) []T {
	if len(rows) <= n {
		return rows
	}
	return append([]T(nil), rows[len(rows)-n:]...)
}

func (m *model) tell(hint string) {
	m.hint, m.hintEnds = hint, m.now().Add(hintTime)
	m.soil(paneFooter)
}

// freeze holds the screen still, or lets it catch up.
func (m *model) freeze() {
	m.frozen = !m.frozen
	if !m.frozen {
		if reviewKey(m.bare.Review) != m.review.hash {
			m.review.opened, m.scroll = m.now(), 0 // it comes before the eyes only now
		}
		m.events = keepLast(append(m.events, m.newer...), maxRows)
		m.lines = keepLast(append(m.lines, m.later...), maxRows)
		m.newer, m.later = nil, nil
		m.present(m.latest)
		m.unsettle()
		m.relayout()
	}
	m.soil()
}

// newerRequests counts the requests that came after the screen was frozen.
func (m *model) newerRequests() int {
	n := 0
	for i := range m.latest.Requests {
		if m.latest.Requests[i].Time.After(m.shown.At) {
			n++
		}
	}
	return n
}

func (m *model) resize(w, h int) {
	w, h = max(0, w), max(0, h)
	m.canvas = newCanvas(w, h, m.theme)
	m.relayout()
}

// relayout places the panes anew. A focused pane that has no place any more
// hands the focus on.
func (m *model) relayout() {
	m.layout = newLayout(arrangement{
		w: m.canvas.w, h: m.canvas.h, screen: m.screen, detail: m.detail, zoomed: m.zoomed, focus: m.focus,
		providers: len(m.shown.Providers), spend: m.shown.Spend != nil,
	})
	if m.screen == overview && !m.zoomed && m.layout.at[m.focus].empty() {
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
	paneTabs:      (*model).paintTabs,
	paneChart:     (*model).paintChart,
	paneProviders: (*model).paintProviders,
	paneRequests:  (*model).paintRequests,
	paneEvents:    (*model).paintEvents,
	paneSpend:     (*model).paintSpend,
	paneDetail:    (*model).paintDetail,
	paneReview:    (*model).paintReview,
	paneLogs:      (*model).paintLogs,
	paneFooter:    (*model).paintFooter,
}

// paint paints the dirty panes. A popup lies on top, so all are painted under it.
func (m *model) paint() {
	if m.dirty == [paneCount]bool{} {
		return
	}
	popup := popups[m.mode]
	if popup != nil || m.covered {
		m.canvas.region(rect{w: m.canvas.w, h: m.canvas.h}).clear()
		m.soil()
	}
	m.covered = popup != nil
	for p, paint := range painters {
		if r := m.layout.at[p]; m.dirty[p] && !r.empty() {
			on := m.canvas.region(r)
			on.clear()
			paint(m, on)
		}
	}
	m.dirty = [paneCount]bool{}
	if popup != nil {
		popup(m)
	}
	m.view = m.canvas.encode()
}

// open draws the frame of a pane, or its rule, and returns the inside.
func (m *model) open(r region, p pane, title string, note spans) region {
	focused := p == m.focus && len(m.focusOrder()) > 1
	if m.layout.framed {
		return r.frame(title, note, focused)
	}
	return r.ruled(title, note, focused)
}

// clock is the time of day in the zone of the user.
func (m *model) clock(t time.Time) string { return t.In(m.zone).Format(time.TimeOnly) }

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
