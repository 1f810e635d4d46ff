package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"anyproxy/config"
	"anyproxy/internal/contain"
	"anyproxy/internal/logging"
	"anyproxy/internal/redact"
	"anyproxy/metrics"
	"anyproxy/metrics/alert"
	"anyproxy/metrics/ledger"
	"anyproxy/metrics/prom"
	"anyproxy/providers/credential"
	"anyproxy/proxy"
	"anyproxy/proxy/requestlog"
	"anyproxy/proxy/routing"
	"anyproxy/tui"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	// lastWord is how long before the end of the drain running streams are told
	// that they end.
	lastWord = time.Second
	// pulseEvery is less than the timers that every request sets: those of the
	// server, and the watch over its upstream. One that is due before all others
	// makes the runtime wake the thread that waits for the network, for it to wait
	// less long: two system calls and a task switch for each request. With a timer
	// of the program's own that is due sooner, no request's is.
	pulseEvery = time.Second
)

// program is the parts that serve runs side by side.
type program struct {
	flags  flags
	now    func() time.Time
	getenv func(string) string
	// terminal is set when there is a controlling terminal: SIGHUP then means
	// that it is gone, else it asks for a reload.
	terminal bool
	world    *demo            // nil without -demo
	doc      *config.Document // what runs; as long as the life does, it alone uses doc and built
	built    *built
	vault    *credential.Vault
	late     []string // fresh client keys that wait for the dashboard to leave the terminal
	state    *routing.State
	folder   string // of the state, "" = none is kept
	lock     stateLock
	saved    *stateFile
	journal  *ledger.Journal
	audit    audit
	keys     *keyFollower
	exporter *prom.Exporter
	alerts   *alert.Alerter
	out      io.Writer
	errw     *stderr
	logTo    *logging.Switch
	logger   *slog.Logger
	redact   *redact.Redactor
	rec      *metrics.Recorder
	meters   atomic.Pointer[metrics.Recorder] // the same, for those who may come before it is there
	log      *requestlog.Log
	ring     *logging.Ring // the log's newest lines, for the dashboard
	proxy    *proxy.Server
	listen   []net.Listener
	plain    bool   // they speak http
	vanish   func() // takes back that it serves; nil before it does
}

// serve runs the proxy until a signal comes, ctx ends or the dashboard is left.
func serve(ctx context.Context, f flags, getenv func(string) string, in io.Reader, out io.Writer, errw *stderr) error {
	return serveBy(ctx, time.Now, f, getenv, in, out, errw)
}

// serveFor serves as long as use runs, which is told when the address is taken.
func serveFor(ctx context.Context, f flags, getenv func(string) string, in io.Reader, out io.Writer, errw *stderr, use func(context.Context, *program) error) error {
	signals := make(chan os.Signal, 2) // whoever uses it gets them
	p, end := newProgram(time.Now, f, getenv, out, errw)
	defer end()
	p.plain = true // nobody but this machine reads along, and no certificate is for its address
	if err := p.prepare(ctx, signals); err != nil || p.proxy == nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		defer stop() // without its proxy a client is of no use
		var err error
		defer func() { served <- err }()
		defer contain.Error(p.logger, "proxy", &err)
		err = p.run(serving, signals, in)
	}()
	err := use(serving, p)
	stop()
	return errors.Join(err, <-served)
}

// newProgram makes the parts that need no configuration. end gives up all that
// the program has made.
func newProgram(now func() time.Time, f flags, getenv func(string) string, out io.Writer, errw *stderr) (p *program, end func()) {
	p = &program{flags: f, now: now, out: out, errw: errw, getenv: getenv, redact: errw.redact, logTo: logging.NewSwitch(errw.raw)}
	lines := logging.NewAsync(p.logTo)
	var warning string
	p.logger, warning = logging.New(lines, getenv("LOG_LEVEL"), getenv("LOG_FORMAT"), p.redact)
	p.ring = logging.NewRing(p.logger.Handler(), p.redact)
	if p.flags.tui {
		p.logger = slog.New(p.ring)
	}
	if warning != "" {
		p.logger.Warn(warning)
	}
	return p, func() {
		p.close()
		lines.Close(time.Second)
		if n := lines.Dropped(); n > 0 {
			fmt.Fprintf(errw, "anyproxy: %d lines of the log were dropped: whatever takes them was too slow\n", n)
		}
	}
}

// serveBy is serve with the clock by which answers are measured and upstreams
// are chosen.
func serveBy(ctx context.Context, now func() time.Time, f flags, getenv func(string) string, in io.Reader, out io.Writer, errw *stderr) error {
	signals := make(chan os.Signal, 2)
	terminal := hasTerminal()
	signal.Notify(signals, signalsOf(terminal)...)
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may end before the requests do
	defer signal.Stop(signals)

	if f.tui && !tui.CanShow(in, out, getenv) {
		f.tui = false
		fmt.Fprintln(errw, "anyproxy: this is no terminal that can show the dashboard; serving without it")
	}
	p, end := newProgram(now, f, getenv, out, errw)
	defer end()
	p.terminal = terminal
	if err := p.prepare(ctx, signals); err != nil || p.proxy == nil {
		return err
	}
	p.greet()
	return p.run(ctx, signals, in)
}

// prepare makes everything that serves, and takes the address. There is neither
// a proxy nor an error when ctx has ended before.
func (p *program) prepare(ctx context.Context, signals <-chan os.Signal) (err error) {
	if err = p.load(ctx, signals); err != nil || p.doc == nil {
		return err
	}
	for _, w := range p.doc.Warnings {
		p.logger.Warn(w.String())
	}
	p.vault = credential.NewVault(credential.Options{Getenv: p.getenv, Hide: p.errw.hide, Tell: p.told, Renewed: p.audit.renewed, Logger: p.logger})
	p.state = routing.NewState()
	p.saved = p.remember()
	if p.built, err = build(ctx, p.doc.Config, nil, p.state, p.vault, p.logger, p.getenv, p.now); err != nil {
		return err
	}
	proxies, _ := outboundProxies(p.getenv)
	p.errw.hide(p.built.secrets...)
	for _, w := range p.built.warnings {
		p.logger.Warn(w)
	}
	for _, address := range proxies {
		p.logger.Info("providers are reached through a proxy", "address", address)
	}
	return p.open()
}

// close gives up what prepare has made, as far as it came.
func (p *program) close() {
	if p.vanish != nil {
		p.vanish()
	}
	if p.built != nil {
		p.built.close(nil)
	}
	if p.vault != nil {
		p.vault.Close()
	}
	p.closeLedger()
	p.lock.release()
	p.world.close()
}

// load reads the configuration, in the world of -demo where that is asked for.
// There is neither a configuration nor an error when ctx has ended before.
func (p *program) load(ctx context.Context, signals <-chan os.Signal) (err error) {
	if p.flags.demo {
		if p.world, err = startDemo(ctx); err != nil {
			return err
		}
		if p.flags.config == "" {
			p.flags.config = p.world.file
		}
	}
	loaded := make(chan error, 1)
	var doc *config.Document
	go func() { // a file can be a pipe that nobody writes to
		var err error
		defer func() { loaded <- err }()
		defer contain.Error(p.logger, "configuration", &err)
		doc, err = p.world.load(p.flags, p.getenv)
	}()
	select {
	case err = <-loaded:
	case <-ctx.Done():
		return nil
	case sig := <-signals:
		return fmt.Errorf("%s while the configuration was being read", sig)
	}
	if err != nil {
		return err
	}
	p.doc = doc
	p.errw.hideThoseOf(doc.Config, p.getenv)
	return explain(doc, "correct the file and start again; example.config.yaml explains every key")
}

// told passes on what is to be known of a credential.
func (p *program) told(n credential.Notice) {
	e := metrics.Event{Kind: metrics.EventCredential, Provider: n.Owner, Text: p.redact.String(n.Text)}
	if key, ok := clientKeyOf(n.Owner); ok {
		e.Provider, e.Text = "", "client key "+key+": "+e.Text
		p.logger.Warn("client key", "key", key, "why", n.Text)
	} else {
		p.logger.Warn("credential", "provider", n.Owner, "why", n.Text)
	}
	if rec := p.meters.Load(); rec != nil && n.Failed {
		rec.Event(e)
	}
}

// remember reads what an earlier run has learnt, unless this one is a play.
func (p *program) remember() *stateFile {
	if !p.flags.demo {
		var err error
		if p.folder, err = stateFolder(p.doc.Config.State.Path, p.getenv); err != nil {
			p.logger.Warn("what is spent and what is known about providers is kept in memory only", "error", err)
		}
	}
	p.lock = newStateLock(p.folder)
	return openState(p.folder, p.lock.held, p.state, p.now, p.logger)
}

// signalsOf are the signals that are obeyed. That the terminal is gone is none
// where nohup has taken care that it ends nothing.
func signalsOf(terminal bool) []os.Signal {
	if terminal && signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
}

// hasTerminal reports whether this process has a controlling terminal.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	return tty.Close() == nil
}

// open takes the address and opens the request log.
func (p *program) open() (err error) {
	addr, from := p.address()
	if p.listen, err = listeners(addr, from); err != nil {
		return err
	}
	if err = p.fits(p.doc.Config); err == nil {
		err = p.secure()
	}
	if err == nil {
		p.log, err = p.openLog()
	}
	if err != nil {
		p.closeListeners()
		return err
	}
	p.rec = metrics.New(p.now)
	p.meters.Store(p.rec)
	p.rec.SetInfo(metrics.Info{Version: Version(), Listen: p.listen[0].Addr().String(), Config: p.doc.Name})
	p.proxy = proxy.New(p.built.runtime, proxy.Options{Recorder: p.rec, Log: p.log, Logger: p.logger, Ledger: p.openLedger(), Metrics: p.openExporter(),
		Redact: p.redact, Version: Version(), Loopback: isLoopback(p.listen[0]), Now: p.now})
	p.keys = &keyFollower{journal: p.journal, tell: p.told, logger: p.logger}
	p.keys.serves(p.built)
	p.openAlerts()
	p.vanish = p.appear()
	return nil
}

// secure has the listeners speak https where that is configured. Simulated
// clients speak plain http, and so does the one program that a proxy was started
// for.
func (p *program) secure() error {
	if p.plain = p.world != nil || p.plain || !p.doc.Config.TLS.On(); p.plain {
		return nil
	}
	c, err := loadCertificate(p.doc.Config.TLS, p.logger)
	if err == nil {
		p.listen = c.secured(p.listen)
	}
	return err
}

// scheme is that of the listeners.
func (p *program) scheme() string {
	if p.plain {
		return "http://"
	}
	return "https://"
}

// address is where to serve, and what says so.
func (p *program) address() (addr, from string) {
	if p.flags.listen != "" {
		return p.flags.listen, p.flags.listenFrom
	}
	return p.doc.Config.Listen, "listen"
}

// fits refuses a configuration that must not be served on the listeners that
// are open.
func (p *program) fits(c *config.Config) error {
	addr, from := p.address()
	for _, provider := range c.Providers {
		if ownListener(provider.Endpoint, p.listen) {
			return hinted(fmt.Errorf("provider %s: its endpoint is where anyproxy itself listens (%s): %s", provider.Name, from, provider.Endpoint),
				"set the provider's own address, or listen elsewhere")
		}
	}
	if !isLoopback(p.listen[0]) && len(c.APIKeys) == 0 {
		return hinted(fmt.Errorf("%s: %s can be reached from other machines, and no client key is configured", from, addr),
			"set apiKeys, or listen on 127.0.0.1")
	}
	return nil
}

func (p *program) closeListeners() {
	for _, l := range p.listen {
		_ = l.Close()
	}
}

func (p *program) openLog() (*requestlog.Log, error) {
	path := p.doc.Config.Log.File
	if p.flags.logFile != "" {
		path = p.flags.logFile
	}
	if path == "" {
		return nil, nil
	}
	o := p.doc.Config.Log
	l, err := requestlog.Open(requestlog.Options{Path: path, Bodies: o.Bodies, MaxSize: int64(o.MaxSize), Keep: o.Keep, Redact: p.redact, Now: time.Now, Logger: p.logger})
	if err != nil {
		return nil, hinted(err, "give another file with -log-file, or leave it out")
	}
	return l, nil
}

// greet says where the proxy is and how to use it.
func (p *program) greet() {
	c := p.doc.Config
	p.announce(p.built.announce)
	if p.flags.tui {
		return
	}
	base, out := p.scheme()+p.listen[0].Addr().String(), logging.Clean(p.out)
	fmt.Fprintf(out, "anyproxy %s serves %s (configuration: %s)\n\n", Version(), base, p.doc.Name)
	for _, m := range c.Models {
		fmt.Fprintf(out, "  %-40s → %s\n", modelNames(m), describeTarget(m))
	}
	if len(c.APIKeys) == 0 {
		fmt.Fprintln(out, "\nNo client keys are configured: whoever is on this machine may use it.")
	}
	fmt.Fprintf(out, "\n%s\n", howToConnect(c, base, p.flags.demo))
}

// announce tells fresh client keys.
func (p *program) announce(keys []string) {
	out := logging.Clean(p.errw.raw) // which redacts nothing
	for _, key := range keys {
		fmt.Fprintln(out, key)
	}
}

func modelNames(m config.Model) string {
	names := append([]string{}, m.Alias...)
	if m.Name != "" {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}

func describeTarget(m config.Model) string {
	s := m.Provider
	if m.Name != "" {
		s += "/" + m.Name
	}
	return fmt.Sprintf("%s (tier %d, weight %g)", s, m.Tier, m.Weight)
}

// howToConnect is what a person pastes next.
func howToConnect(c *config.Config, base string, demo bool) string {
	key := "any-value"
	if len(c.APIKeys) > 0 {
		key = "YOUR-CLIENT-KEY"
	}
	claude := fmt.Sprintf("  ANTHROPIC_BASE_URL=%s ANTHROPIC_API_KEY=%s claude\n", base, key)
	if usesLogin(c) {
		claude = fmt.Sprintf("  ANTHROPIC_BASE_URL=%s claude     # with your own login or key\n", base)
	}
	model := "claude-sonnet-4-5"
	if demo {
		claude = strings.TrimSuffix(claude, "\n") + "     # answered by the simulation\n"
	}
	return "Claude Code:\n" + claude + "curl:\n" + fmt.Sprintf(
		"  curl -N %s/v1/messages -H 'x-api-key: %s' -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \\\n"+
			"    -d '{\"model\":%q,\"max_tokens\":64,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n", base, key, model)
}

func usesLogin(c *config.Config) bool {
	for _, p := range c.Providers {
		if p.Auth == config.AuthPassthrough {
			return true
		}
	}
	return false
}

// run serves until something ends it, then drains.
func (p *program) run(ctx context.Context, signals chan os.Signal, in io.Reader) error {
	base, interrupt := context.WithCancelCause(context.Background())
	defer interrupt(nil)
	server := newServer(p.proxy)
	server.BaseContext = func(net.Listener) context.Context { return base }
	server.ErrorLog = slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug) // broken clients, mostly
	failed := make(chan error, len(p.listen))
	for _, l := range p.listen {
		go func() {
			var err error
			defer func() { failed <- err }()
			defer contain.Error(p.logger, "listener", &err)
			err = server.Serve(l)
		}()
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var parts sync.WaitGroup
	key, c := p.built.firstKey, p.doc.Config
	parts.Go(func() { p.world.live(ctx, "http://"+p.listen[0].Addr().String(), key, c, p.logger) })
	parts.Go(func() {
		defer contain.Panic(p.logger, "alerts")
		p.alerts.Run(ctx)
	})
	life := newLife(p, in)
	parts.Go(func() {
		defer contain.Panic(p.logger, "reload")
		life.run(ctx)
	})
	unfollow := apart(ctx, p.logger, p.keys.run)                   // a file system that hangs must not keep the program from ending
	saving, stopSaving := context.WithCancel(context.Background()) // to the end of the drain
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		p.saved.run(saving)
	}()
	// The screen stays to the end of the drain.
	watched, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	screen := p.startScreen(watched, in, operator{p.proxy, life, signals})
	defer func() {
		if v := recover(); v != nil { // the terminal is given back before anything is written to it
			_ = server.Close()
			unwatch()
			p.leaveScreen(screen)
			panic(v)
		}
	}()

	served := 0
	err := p.wait(ctx, life, signals, screen, failed, &served)
	stop()
	parts.Wait()
	unfollow()
	p.drain(server, interrupt, signals)
	stopSaving()
	<-saved
	unwatch()
	p.leaveScreen(screen)
	p.announce(p.late)
	if p.world == nil { // how a simulation ends is nobody's news
		p.logTo.Set(p.errw.raw)
	}
	for ; served < len(p.listen); served++ {
		<-failed
	}
	if p.log != nil {
		closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = errors.Join(err, p.log.Close(closing))
	}
	return err
}

// wait returns when the program is to end: nil when somebody wants it to.
func (p *program) wait(ctx context.Context, life *life, signals <-chan os.Signal, screen <-chan error, failed <-chan error, served *int) error {
	pulse := time.NewTicker(pulseEvery)
	defer pulse.Stop()
	for {
		select {
		case <-pulse.C:
		case <-ctx.Done():
			return nil
		case sig := <-signals:
			if sig == syscall.SIGHUP && !p.terminal {
				life.hangUp()
				continue
			}
			p.logger.Info("signal received, draining", "signal", sig.String())
			return nil
		case err := <-screen:
			p.logTo.Set(p.errw.raw)
			if err == nil {
				return nil // the person has quit
			}
			p.logger.Error("the dashboard has failed, serving goes on without it", "error", err)
			if fault, ok := errors.AsType[*tui.PanicError](err); ok {
				p.logger.Error("where it failed", "stack", string(fault.Stack))
			}
			p.flags.tui, screen = false, nil
			life.screenFailed()
		case err := <-failed:
			*served++
			return fmt.Errorf("serve: %w", err)
		}
	}
}

// drain lets running requests end, for as long as drainTimeout or until a
// second signal.
func (p *program) drain(server *http.Server, interrupt context.CancelCauseFunc, signals <-chan os.Signal) {
	p.rec.SetDraining()
	if n := p.rec.Snapshot(0).InFlight; n > 0 {
		p.logger.Info("waiting for running requests", "requests", n, "at_most", p.doc.Config.DrainTimeout.String())
	}
	limit, cancel := context.WithTimeout(context.Background(), p.doc.Config.DrainTimeout)
	defer cancel()
	tell := time.AfterFunc(max(p.doc.Config.DrainTimeout-lastWord, 0), func() { interrupt(proxy.ErrShutdown) })
	defer tell.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer contain.Panic(p.logger, "drain")
		_ = server.Shutdown(limit) // only the limit can end it early
	}()
	select {
	case <-done:
	case <-signals:
		p.logger.Warn("second signal, ending at once")
		interrupt(proxy.ErrShutdown)
		p.handlersEnd()
		cancel()
		<-done
	}
	_ = server.Close()
	p.handlersEnd()
}

// handlersEnd waits, for a second at most, until handlers that have been told
// to end have written their last words and records.
func (p *program) handlersEnd() {
	for end := time.Now().Add(time.Second); p.proxy.Serving() > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}
