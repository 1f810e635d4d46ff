//go:build !unix

package http1

func (c *conn) watch() {}

// alive cannot be told here without waiting: a request over a dead connection is
// repeated over another one.
func (c *conn) alive() bool { return true }
