package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
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
	doc      *config.Document // what runs; while the reloader runs, it alone uses doc and built
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
