package replay

import (
	"container/heap"
	"time"
)

// clock is a virtual one: it jumps from one happening to the next.
type clock struct {
	now   int64 // Unix nanoseconds
	queue happenings
	order int
}

// time is now, in the zone of days.
func (c *clock) time(zone *time.Location) time.Time { return time.Unix(0, c.now).In(zone) }

// after lets do happen once the given time has passed.
func (c *clock) after(d time.Duration, do func()) {
	c.order++
	heap.Push(&c.queue, happening{c.now + int64(max(d, 0)), c.order, do})
}

// until lets all happen that is due by a time, and goes there.
func (c *clock) until(at int64) {
	for len(c.queue) > 0 && c.queue[0].at <= at {
		c.step()
	}
	c.now = max(c.now, at)
}

// run lets all happen.
func (c *clock) run() {
	for len(c.queue) > 0 {
		c.step()
	}
}

func (c *clock) step() {
	h := heap.Pop(&c.queue).(happening)
	c.now = h.at
	h.do()
}

type happening struct {
	at    int64
	order int // among those at the same time
	do    func()
}

type happenings []happening

func (q happenings) Len() int { return len(q) }
func (q happenings) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q happenings) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *happenings) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *happenings) Pop() any {
	old := *q
	h := old[len(old)-1]
	old[len(old)-1] = happening{}
	*q = old[:len(old)-1]
	return h
}
