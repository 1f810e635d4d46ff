package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"anyproxy/config"
	"anyproxy/internal/contain"
	"anyproxy/metrics"
	"anyproxy/metrics/ledger"
	"anyproxy/proxy"
)

// reloader keeps the configuration up to date while the program runs: a change of
// the file is read, reviewed, decided on and applied, or refused. Whatever
// happens to a file, the running configuration serves until a whole and sound
// one takes its place.
//
// One goroutine, that of run, does all of it and owns the program's doc and
// built meanwhile; the methods that others call hand it a request.
type reloader struct {
	*program
	asks    *prompt // nil = there is nowhere to ask
	screen  bool    // a dashboard shows the review
	hangups chan struct{}
	blind   chan struct{} // closed when the dashboard has failed
	answers chan answer
	ended   chan struct{} // closed when run returns

	seen    string     // what was last found in the file's place, so that it is told of once
	waiting *candidate // for a decision; nil = nothing is
	settle  func()     // ends the question about it
}

// answer is a decision about a review.
type answer struct {
	hash  string
	apply bool
	by    string // who has decided, for the ledger
	done  chan error
}

// newReloader asks at the terminal of in where that is one and no dashboard has it.
func newReloader(p *program, in io.Reader) *reloader {
	l := &reloader{program: p, screen: p.flags.tui, seen: p.doc.Hash, settle: func() {},
		hangups: make(chan struct{}, 1), blind: make(chan struct{}), answers: make(chan answer), ended: make(chan struct{})}
	if p.flags.watch && !p.flags.tui {
		l.asks = newPrompt(in, p.errw, []io.Writer{p.out, p.errw.raw}, p.logger)
	}
	return l
}

// run lives until ctx ends.
func (l *reloader) run(ctx context.Context) {
	defer close(l.ended)
	changes, stop := l.watch(ctx)
	defer stop()
	defer l.withdraw()
	blind := l.blind
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			l.changed(ctx)
		case <-l.hangups:
			l.hungUp(ctx)
		case <-blind:
			blind = nil
			l.goOnBlind()
		case a := <-l.answers:
			a.done <- l.decide(a)
		}
	}
}

// watch starts to watch the file. Without one, or where that is not wanted or
// cannot be, no change ever comes.
func (l *reloader) watch(ctx context.Context) (changes <-chan struct{}, stop func()) {
	if !l.flags.watch {
		return nil, func() {}
	}
	if l.flags.config == "" {
		if !l.screen {
			l.logger.Warn("-watch: there is no configuration file to watch")
		}
		return nil, func() {}
	}
	err := regular(l.flags.config)
	var w *config.Watcher
	if err == nil || errors.Is(err, fs.ErrNotExist) { // a file that has vanished can return
		w, err = config.NewWatcher(l.flags.config)
	}
	if err != nil {
		l.logger.Warn("the configuration file is not watched", "error", err)
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer contain.Panic(l.logger, "watcher of the configuration")
		w.Run(ctx)
	}()
	l.rec.SetWatching()
	return w.Changes(), func() { cancel(); <-done }
}

// regular refuses what can be read only once, or never.
func regular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	return err
}

// hangUp asks for the file to be read and applied as it then stands.
func (l *reloader) hangUp() {
	select {
	case l.hangups <- struct{}{}:
	default: // one is waiting
	}
}

// screenFailed tells that no dashboard shows reviews any more. It is called once.
func (l *reloader) screenFailed() { close(l.blind) }

// goOnBlind tells in the log what only the dashboard would have shown.
func (l *reloader) goOnBlind() {
	defer contain.Panic(l.logger, "reload")
	l.screen = false
	l.announce(l.late)
	l.late = nil
	if l.waiting != nil {
		l.unasked(l.waiting.review)
	}
}

// errSuperseded means that what was decided about is not what waits: there is a
// newer save, or somebody else has decided.
var errSuperseded = errors.New("the file has changed again, or this was decided already")

// Apply approves the review of that hash: from the next request on the proxy
// serves by exactly the bytes that it showed.
func (l *reloader) Apply(hash string) error {
	return l.answer(context.Background(), byScreen, hash, true)
}

// Reject leaves the running configuration as it is until the next save.
func (l *reloader) Reject(hash string) error {
	return l.answer(context.Background(), byScreen, hash, false)
}

// answered takes the answer of the person at the terminal.
func (l *reloader) answered(ctx context.Context, hash string, apply bool) error {
	return l.answer(ctx, byPrompt, hash, apply)
}

func (l *reloader) answer(ctx context.Context, by, hash string, apply bool) error {
	a := answer{hash: hash, apply: apply, by: by, done: make(chan error, 1)}
	select {
	case l.answers <- a:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ended:
		return proxy.ErrShutdown
	}
	select {
	case err := <-a.done:
		return err
	case <-ctx.Done(): // the question ends while its answer is carried out
		return ctx.Err()
	}
}

// rejected is seen in the place of a file that was: saved again, also as it is,
// it is reviewed again.
const rejected = "rejected"

func (l *reloader) decide(a answer) (err error) {
	defer contain.Error(l.logger, "reload", &err)
	c := l.waiting
	if c == nil || c.doc.Hash != a.hash {
		return errSuperseded
	}
	if a.apply {
		l.waiting = nil
		l.apply(c, a.by)
		return nil
	}
	l.withdraw()
	l.seen = rejected
	l.note(metrics.ReloadRejected, a.hash, a.by)
	l.event(metrics.ReloadRejected, "rejected, the running configuration stays")
	l.logger.Info("configuration rejected, the running one stays", "file", l.doc.Name)
	return nil
}

// withdraw ends the review that waits, if one does.
func (l *reloader) withdraw() {
	l.settle()
	if l.waiting != nil {
		l.waiting.built.close(l.built)
		l.waiting = nil
	}
	l.rec.SetReview(nil)
}

// changed looks at the file after something has happened to it.
func (l *reloader) changed(ctx context.Context) {
	defer contain.Panic(l.logger, "reload")
	doc, err := l.read()
	if errors.Is(err, fs.ErrNotExist) {
		if l.seen != "" {
			l.withdraw()
			l.seen = "" // it may come back as it was
			l.logger.Warn("the configuration file is gone, the running configuration stays", "file", l.doc.Name)
		}
		return
	}
	seen := fmt.Sprint(err)
	if err == nil {
		seen = doc.Hash
	}
	if seen == l.seen {
		return
	}
	l.seen = seen
	l.withdraw()
	c, problems := l.review(ctx, doc, err)
	switch {
	case problems != nil:
		l.refuse(ctx, problems)
	case len(c.review.Changes) == 0:
		c.built.close(l.built)
		l.doc = c.doc
		l.logger.Info("the configuration file was saved, nothing in it has changed", "file", l.doc.Name)
	case l.flags.yes:
		l.tell(c.review)
		l.apply(c, byFlag)
	default:
		l.wait(ctx, c)
	}
}

// wait shows a review and lets it be decided on.
func (l *reloader) wait(ctx context.Context, c *candidate) {
	l.waiting = c
	l.rec.SetReview(c.review)
	l.event("", count(len(c.review.Changes), "change")+" to review")
	if l.asks != nil {
		l.settle = l.asks.ask(ctx, c.review, l.answered)
		return
	}
	l.unasked(c.review)
}

// unasked writes what nobody is asked about into the log.
func (l *reloader) unasked(r *metrics.Review) {
	l.tell(r)
	if l.screen {
		return
	}
	advice := "SIGHUP applies the file as it then stands; -yes would not ask"
	if l.terminal {
		advice = "standard input is no terminal where it could be approved; restart, or use -yes"
	}
	l.logger.Warn("the changed configuration waits, the running one stays", "file", l.doc.Name, "advice", advice)
	if l.flags.plain {
		l.say("the changed configuration waits, the running one stays: " + advice + "\n")
	}
}

// hungUp reads the file and applies it without a question: whoever sends the
// signal has decided.
func (l *reloader) hungUp(ctx context.Context) {
	defer contain.Panic(l.logger, "reload")
	if l.flags.config == "" {
		l.logger.Warn("SIGHUP: there is no configuration file to read again")
		return
	}
	l.withdraw()
	doc, err := l.read()
	if err == nil {
		l.seen = doc.Hash
	}
	c, problems := l.review(ctx, doc, err)
	if problems != nil {
		l.refuse(ctx, problems)
		return
	}
	l.tell(c.review)
	l.apply(c, bySignal)
}

// read reads the file as it stands.
func (l *reloader) read() (*config.Document, error) {
	if err := regular(l.flags.config); err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return l.world.load(l.flags, l.getenv)
}

// refuse tells of a file that cannot be used. The running configuration stays.
func (l *reloader) refuse(ctx context.Context, r *metrics.Review) {
	l.rec.SetReview(r)
	l.note(metrics.ReloadInvalid, r.Hash, "")
	l.event(metrics.ReloadInvalid, fmt.Sprintf("reload refused, the running configuration stays: %s, first %s", count(len(r.Problems), "problem"), r.Problems[0].Text))
	if l.asks != nil {
		l.settle = l.asks.tell(ctx, problemsText(r))
		return
	}
	for _, p := range r.Problems {
		l.logger.Error("reload refused, the running configuration stays", "problem", p.Text)
	}
}

// Who decides about a changed configuration, in the ledger.
const (
	byPrompt = "prompt"
	byScreen = "dashboard"
	byFlag   = "-yes"
	bySignal = "signal"
)

// note counts how a changed configuration has ended, and writes it down.
func (l *reloader) note(result metrics.ReloadResult, hash, by string) {
	l.rec.Reloaded(result)
	l.journal.Note(ledger.Row{Kind: ledger.KindConfig, Outcome: string(result), File: l.doc.Name, SHA256: hash, By: by})
}

// apply serves by a candidate from the next request on. by is who has approved it.
func (l *reloader) apply(c *candidate, by string) {
	l.settle()
	before := l.built
	l.alerts.SetRules(c.built.alerts)
	l.exporter.SetTargets(exported(c.doc.Config))
	l.keys.serves(c.built)
	l.proxy.Apply(c.built.runtime)
	l.doc, l.built = c.doc, c.built
	before.close(l.built)
	l.vault.Keep(l.built.sources()...)

	l.rec.SetReview(nil)
	l.note(metrics.ReloadApplied, l.doc.Hash, by)
	l.event(metrics.ReloadApplied, fmt.Sprintf("applied, %s", count(len(c.review.Changes), "change")))
	l.logger.Info("configuration applied", "file", l.doc.Name, "sha256", l.doc.Hash[:12])
	for _, w := range c.review.Effect.Warnings {
		l.logger.Warn(w)
	}
	for _, key := range c.review.Effect.Restart {
		l.logger.Warn("this key takes effect at the next start", "key", key)
	}
	if l.screen {
		l.late = append(l.late, l.built.announce...)
	} else {
		l.announce(l.built.announce)
	}
}

// say writes beside the lines of -tui=plain, for which the log is silent. It
// waits for it, but not for a stopped terminal.
func (l *reloader) say(text string) {
	apart(context.Background(), l.logger, func(context.Context) { fmt.Fprint(l.errw.screen(l.out), text) })()
}

// tell writes a review into the log.
func (l *reloader) tell(r *metrics.Review) {
	if l.flags.plain {
		l.say(reviewText(r))
	}
	for _, c := range r.Changes {
		l.logger.Info("configuration changed", "key", c.Path, "what", changeText(c))
	}
	for _, a := range r.Effect.Aliases {
		l.logger.Info("its effect on new traffic", "alias", a.Alias, "what", sharesText(a))
	}
}

func (l *reloader) event(result metrics.ReloadResult, text string) {
	l.rec.Event(metrics.Event{Time: time.Now(), Kind: metrics.EventConfig, Result: result, Text: l.doc.Name + ": " + l.redact.String(text)})
}
