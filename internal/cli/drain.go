package cli

import (
	"context"
	"os"
	"time"

	"anyproxy/internal/contain"
	"anyproxy/proxy"
	"anyproxy/proxy/front"
)

// lastWord is how long before the end of the drain running streams are told
// that they end.
const lastWord = time.Second

// drain lets running requests end, for as long as drainTimeout or until a
// second signal.
func (p *program) drain(server *front.Server, interrupt context.CancelCauseFunc, signals <-chan os.Signal) {
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
