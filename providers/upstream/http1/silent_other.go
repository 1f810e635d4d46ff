//go:build !unix && !windows

package http1

func (c *conn) watch() {}

// silent cannot be told here without waiting.
func (c *conn) silent() bool { return true }
