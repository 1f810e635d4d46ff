package simulator

import (
	"testing"

	"go.uber.org/goleak"
)

// A server lets a connection that it closes linger for half a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
