package tui

import (
	"cmp"
	"fmt"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"anyproxy/metrics"

	tea "github.com/charmbracelet/bubbletea"
)

// question is something that must be answered before it is done. Any key that
// is no answer lets it go.
type question struct {
	text    string
	answers []answer
}

type answer struct {
	keys  []string // the first is shown
	label string
	do    func() tea.Cmd
}

func (m *model) ask(text string, answers ...answer) {
	m.question = question{text, answers}
	m.setMode(asking)
	m.soil(paneFooter)
}

// answer does what a key answers.
func (m *model) answer(key string) tea.Cmd {
	q := m.question
	m.setMode(browsing)
	for _, a := range q.answers {
		for _, k := range a.keys {
			if k == key {
				return a.do()
			}
		}
	}
	return nil
}

// doneMsg tells the person how something ended.
type doneMsg struct{ text string }

// panicMsg is a panic in a goroutine of the dashboard.
type panicMsg struct{ err *PanicError }

// run does what may take its time, on a goroutine of its own. A panic there
// ends the dashboard like one anywhere else in it, with the terminal restored.
func run(do func() string) tea.Cmd {
	return func() (msg tea.Msg) {
		defer func() {
			if v := recover(); v != nil {
				msg = panicMsg{&PanicError{Value: v, Stack: debug.Stack()}}
			}
		}()
		return doneMsg{do()}
	}
}

// quit asks first while requests run.
func (m *model) quit() tea.Cmd {
	if m.latest.InFlight == 0 || m.actions == nil {
		return tea.Quit
	}
	drain := func(now bool) func() tea.Cmd {
		return func() tea.Cmd {
			return run(func() string {
				m.actions.Drain(now)
				return "ending"
			})
		}
	}
	text := fmt.Sprintf("%d running:", m.latest.InFlight)
	if m.latest.Draining {
		text = fmt.Sprintf("ending, %d still running:", m.latest.InFlight)
	}
	m.ask(text,
		answer{[]string{"w", "q"}, "wait for them", drain(false)},
		answer{[]string{"n", "ctrl+c"}, "end now", drain(true)},
		answer{[]string{"d", "D"}, "detach", m.detach})
	return nil
}

// detach leaves the dashboard and not the program.
func (m *model) detach() tea.Cmd {
	m.detached = true
	return tea.Quit
}

// askProvider asks whether to hold, return, probe or reset the selected
// provider.
func (m *model) askProvider(do action) {
	i := m.selected(paneProviders)
	switch {
	case m.readOnly:
		m.tell("this screen is read-only")
		return
	case i < 0:
		return
	}
	// A frozen screen may show other providers than there are now.
	shown, name := m.shown.Providers[i].Name, m.bare.Providers[i].Name
	held := slices.ContainsFunc(m.latest.Providers, func(p metrics.ProviderView) bool {
		return p.Name == name && p.State == metrics.StateHeld
	})
	yes := func(act func() (string, error)) answer {
		return answer{[]string{"y"}, "yes", func() tea.Cmd {
			return run(func() string {
				text, err := act()
				if err != nil {
					return shown + ": " + err.Error()
				}
				return shown + " " + text
			})
		}}
	}
	no := answer{[]string{"n"}, "no", func() tea.Cmd { return nil }}
	switch {
	case do == actHold && held:
		m.ask("Let "+shown+" return?", yes(func() (string, error) { return "takes requests again", m.actions.Return(name) }), no)
	case do == actHold:
		m.ask("Hold "+shown+"? No new requests until you let it return.",
			yes(func() (string, error) { return "is held", m.actions.Hold(name) }), no)
	case do == actProbe:
		m.ask("Probe "+shown+"? It is sent one tiny request.", yes(func() (string, error) {
			d, err := m.actions.Probe(m.ctx, name)
			return "answered in " + took(d, 2), err
		}), no)
	case do == actReset:
		m.ask("Reset "+shown+"? Its breaker closes and what was measured is forgotten.",
			yes(func() (string, error) { return "starts afresh", m.actions.Reset(name) }), no)
	}
}

// edit gives the terminal to the person's editor, at the first problem of the
// file. What is saved comes back as a review.
func (m *model) edit() tea.Cmd {
	s := &m.bare
	if m.readOnly || !s.Watching {
		m.tell("no file is watched here that could be edited")
		return nil
	}
	command := strings.Fields(cmp.Or(m.getenv("VISUAL"), m.getenv("EDITOR"), "vi"))
	if r := s.Review; r != nil && len(r.Problems) > 0 && r.Problems[0].Line > 0 {
		command = append(command, fmt.Sprintf("+%d", r.Problems[0].Line))
	}
	command = append(command, s.Config)
	editor := exec.CommandContext(m.ctx, command[0], command[1:]...)
	// The terminal itself: through a wrapper it would be read to the end.
	editor.Stdin, editor.Stdout, editor.Stderr = m.in, m.out, m.out
	return tea.ExecProcess(editor, func(err error) tea.Msg {
		if err != nil {
			return doneMsg{"edit: " + err.Error()}
		}
		return doneMsg{"edited"}
	})
}

// reviewGuard is how long a review is open before an answer counts, so that
// nobody answers by typing on.
const reviewGuard = 300 * time.Millisecond

// decide applies or rejects the review that is shown.
func (m *model) decide(do action) tea.Cmd {
	r := m.shown.Review
	switch {
	case r == nil:
		return nil
	case m.readOnly:
		m.tell("this screen is read-only")
		return nil
	case m.now().Sub(m.review.opened) < reviewGuard:
		return nil
	case do == actApply && !r.Usable():
		m.tell("a file with problems cannot be applied; the running configuration stays")
		return nil
	}
	hash := r.Hash
	return run(func() string {
		act, done := m.actions.Reject, "rejected, the running configuration stays"
		if do == actApply {
			act, done = m.actions.Apply, "applied"
		}
		if err := act(hash); err != nil {
			return "not done: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		return done
	})
}
