package cli

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// cable is a network between the program and an upstream, which can be cut
// without either end being told: what comes from the program is lost, nothing
// comes back, and no connection is closed. Connections that were there when it
// was cut never work again.
//
// Where the system can do it (silence), the program's packets are dropped on
// their way, so that they are not even acknowledged, nor a connection accepted.
// Elsewhere connections are made and nobody reads what comes.
type cable struct {
	listener *net.TCPListener
	to       string
	work     sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	near  map[*net.TCPConn]bool // to the program; true = it works
	far   map[*net.TCPConn]bool // to the upstream
	ended bool
	made  int // how many connections there were
	died  int // how many of them were cut
}

// newCable puts a cable before the upstream at a URL, and returns its own.
func newCable(t testing.TB, upstream string) (w *cable, endpoint string) {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	w = &cable{listener: l, to: u.Host, near: map[*net.TCPConn]bool{}, far: map[*net.TCPConn]bool{}}
	w.work.Go(w.accept)
	t.Cleanup(w.close)
	u.Host = l.Addr().String()
	return w, u.String()
}

func (w *cable) accept() {
	for {
		near, err := w.listener.AcceptTCP()
		if err != nil {
			return
		}
		w.connect(near)
	}
}

// connect joins a connection of the program's with one to the upstream.
func (w *cable) connect(near *net.TCPConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		_ = near.Close()
		return
	}
	w.made++
	w.near[near] = !w.cut
	if w.cut {
		silence(near)
		return
	}
	c, err := net.Dial("tcp", w.to)
	if err != nil {
		delete(w.near, near)
		_ = near.Close()
		return
	}
	far := c.(*net.TCPConn)
	w.far[far] = true
	w.work.Go(func() {
		var back sync.WaitGroup
		back.Go(func() { w.carry(near, far, near) })
		w.carry(far, near, near)
		back.Wait()
		w.forget(near, far)
	})
}

// forget closes a pair that has nothing more to say, unless it was cut: then the
// program is not told.
func (w *cable) forget(near, far *net.TCPConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = far.Close()
	delete(w.far, far)
	if w.near[near] {
		_ = near.Close()
		delete(w.near, near)
	}
}

// carry carries what one end says until it ends, and tells the other.
func (w *cable) carry(to, from, near *net.TCPConn) {
	// Short: those of connections that were cut stay until the end.
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 1<<10))
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.near[near] {
		return // it was cut: nobody is told
	}
	if err != nil { // it was reset
		_ = to.SetLinger(0)
		_ = to.Close()
		return
	}
	_ = to.CloseWrite()
}

// sever cuts the cable. The upstream is told, for it is not what is tested.
func (w *cable) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	silence(w.listener)
	for near, works := range w.near {
		if works {
			silence(near)
			w.near[near] = false
			w.died++
		}
	}
	for far := range w.far {
		_ = far.Close()
		delete(w.far, far)
	}
}

// mend lets new connections through.
func (w *cable) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
	hear(w.listener)
}

// connections is how many were made so far.
func (w *cable) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made
}

func (w *cable) close() {
	_ = w.listener.Close()
	w.mu.Lock()
	w.ended = true
	for _, conns := range []map[*net.TCPConn]bool{w.near, w.far} {
		for c := range conns {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
	}
	w.mu.Unlock()
	w.work.Wait()
}
