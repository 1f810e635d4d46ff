//go:build !linux

package front

// A watch watches nothing here: each connection listens for itself.
type watch struct{}

func newWatch() *watch { return nil }

func (*watch) add(*conn) bool { return false }
func (*watch) remove(*conn)   {}
func (*watch) close()         {}
