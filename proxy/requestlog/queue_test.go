package requestlog

import (
	"testing"
	"testing/synctest"
)

// A line whose encoding has failed is never pushed: the writer must not wait for it
// when the log is closed.
func TestClosedQueueEndsWithoutWhatIsNotPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		ended := false
		go func() {
			for range q.batches {
			}
			ended = true
		}()
		if !q.reserve(1) {
			t.Fatal("there is no room")
		}
		q.close()
		synctest.Wait()
		if ended {
			t.Fatal("the writer has not waited for what is reserved")
		}
		q.release(1)
		synctest.Wait()
		if !ended {
			q.signal() // or the test would not end
			t.Error("the writer waits for a line that will not come")
		}
	})
}
