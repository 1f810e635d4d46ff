package metrics

// An Observer is told what has ended: spend, /metrics and alerts are views of
// the same records that the screen and the request log show.
//
// It is called by the goroutines that serve requests, under no lock, so it must
// be quick and must not block. What it is given it must neither change nor keep.
type Observer interface {
	// AttemptEnded tells of the nth attempt, from 1, of r, which is still running.
	AttemptEnded(r *RequestRecord, n int, a *AttemptRecord)
	RequestEnded(r *RequestRecord)
	// Happened tells of an event, also of one that was too much for the ring.
	Happened(e *Event)
}

// Observe adds an observer. It must be called before the first request.
func (r *Recorder) Observe(o Observer) { r.observers = append(r.observers, o) }

func (r *Recorder) attemptEnded(q *RequestRecord, n int, a AttemptRecord) {
	for _, o := range r.observers {
		o.AttemptEnded(q, n, &a)
	}
}

func (r *Recorder) requestEnded(rec RequestRecord) {
	for _, o := range r.observers {
		o.RequestEnded(&rec)
	}
}

func (r *Recorder) happened(e Event) {
	for _, o := range r.observers {
		o.Happened(&e)
	}
}
