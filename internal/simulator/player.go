package simulator

import (
	"context"
	"iter"
	"slices"
	"time"
)

// outcome is how the playing of an answer ended.
type outcome uint8

const (
	playing  outcome = iota // it goes on
	ended                   // the body ends as HTTP asks for
	broken                  // the connection is to be closed
	wasReset                // the connection is to be reset
	left                    // the client has gone, or the Upstream is closed
)

// player sends events to a sink by their timetable and lets faults strike.
type player struct {
	out sink
	// faults are those still to come.
	faults []Fault
	// failure makes the bytes of an error event.
	failure func(Reply) []byte

	sent      [byBytes + 1]int // by unit
	start     []byte           // the message's start, for DuplicateStart
	lastDelta []byte           // for ClosedDelta
}

// play sends every event at its time after began.
func (p *player) play(ctx context.Context, began time.Time, timetable iter.Seq2[Step, []byte]) outcome {
	if o := p.strike(ctx); o != playing {
		return o
	}
	for step, event := range timetable {
		if !waitUntil(ctx, began.Add(step.At)) {
			return left
		}
		if o := p.send(ctx, step, event); o != playing {
			return o
		}
	}
	return ended
}

func (p *player) send(ctx context.Context, step Step, event []byte) outcome {
	if step.Kind == StepStart {
		p.start = event
	}
	for rest := event; len(rest) > 0; {
		n := p.room(len(rest))
		if !p.write(rest[:n]) {
			return left
		}
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
		if o := p.strike(ctx); o != playing {
			return o
		}
	}
	return p.after(ctx, step, event)
}

// after counts a whole event and lets the faults behind it strike.
func (p *player) after(ctx context.Context, step Step, event []byte) outcome {
	p.sent[byEvents]++
	if step.delta() {
		p.sent[byDeltas]++
		p.lastDelta = event
	}
	if step.Kind == StepBlockStop && p.lastDelta != nil && p.takeClosedDelta() && !p.write(p.lastDelta) {
		return left
	}
	return p.strike(ctx)
}

// room is how many of the next n bytes come before a fault that counts bytes.
func (p *player) room(n int) int {
	for _, f := range p.faults {
		if f.At.by == byBytes && f.At.n > p.sent[byBytes] {
			n = min(n, f.At.n-p.sent[byBytes])
		}
	}
	return n
}

func (p *player) write(b []byte) bool {
	n, err := p.out.Write(b)
	p.sent[byBytes] += n
	return err == nil && p.out.flush() == nil
}

// strike carries out the faults whose place is reached.
func (p *player) strike(ctx context.Context) outcome {
	for i := 0; i < len(p.faults); {
		f := p.faults[i]
		if f.At.by == beforeHeaders || f.Kind == ClosedDelta || p.sent[f.At.by] < f.At.n {
			i++
			continue
		}
		p.faults = slices.Delete(p.faults, i, i+1)
		if o := p.act(ctx, f); o != playing {
			return o
		}
	}
	return playing
}

func (p *player) act(ctx context.Context, f Fault) outcome {
	sent := true
	switch f.Kind {
	case Reset:
		return wasReset
	case Break:
		return broken
	case Cut:
		return ended
	case Hang:
		<-ctx.Done()
		return left
	case Garbage:
		sent = p.write([]byte("event: content_block_delta\ndata: {\"type\":\"content_block_\xff\n\n"))
	case DuplicateStart:
		sent = p.write(p.start)
	case ErrorEvent:
		if p.write(p.failure(f.Reply)) {
			return ended
		}
		return left
	}
	if !sent {
		return left
	}
	return playing
}

func (p *player) takeClosedDelta() bool {
	i := slices.IndexFunc(p.faults, func(f Fault) bool { return f.Kind == ClosedDelta })
	if i < 0 {
		return false
	}
	p.faults = slices.Delete(p.faults, i, i+1)
	return true
}

// waitUntil sleeps until t; false means that ctx ended first.
func waitUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
