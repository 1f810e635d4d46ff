package metrics

import "time"

// EventKind is a closed set. The first ones are about single requests: a storm
// brings thousands of them a second, and what exceeds lossyPerSecond is dropped
// and counted. The others are about providers and the program; they are few, and
// always kept.
type EventKind string

const (
	EventFallback   EventKind = "fallback"   // an attempt failed, the next upstream is asked: Provider → To
	EventRetry      EventKind = "retry"      // an attempt failed, the same upstream is asked again
	EventMoved      EventKind = "moved"      // a session goes to another upstream: Provider → To
	EventConversion EventKind = "conversion" // Provider refused a converted request, the next one that needs no conversion is asked
	EventExhausted  EventKind = "exhausted"  // a request found no upstream that answers
	EventAborted    EventKind = "aborted"    // an answer broke off after the client had got content

	EventCooldown   EventKind = "cooldown"   // Provider has no room, it is left out for For
	EventBreaker    EventKind = "breaker"    // Provider fails, it is left out for For
	EventHalfOpen   EventKind = "half-open"  // Provider's pause is over, one request tries it
	EventReturn     EventKind = "return"     // Provider answers again
	EventSlow       EventKind = "slow"       // Provider has fallen under the tokens per second asked for, or is back above
	EventCredential EventKind = "credential" // Provider refused its key
	EventBudget     EventKind = "budget"     // a daily limit is near or reached, told by Text
	EventConfig     EventKind = "config"     // the configuration, told by Text
	EventOperator   EventKind = "operator"   // a person has done something to Provider, told by Text
)

// lossyPerSecond is how many events about single requests are kept a second. The
// ring then holds ten seconds of a storm, and whoever looks once a second misses
// nothing of the other kinds.
const lossyPerSecond = 100

// lossy reports whether events of the kind may be dropped.
func (k EventKind) lossy() bool {
	switch k {
	case EventFallback, EventRetry, EventMoved, EventConversion, EventExhausted, EventAborted:
		return true
	default:
		return false
	}
}

// Event is something that an operator wants to know. Text is for people and may
// quote an upstream: whoever shows it cleans it.
type Event struct {
	Seq      uint64        `json:"seq"` // 1 for the first event
	Time     time.Time     `json:"time"`
	Kind     EventKind     `json:"kind"`
	Provider string        `json:"provider,omitempty"`
	Model    string        `json:"model,omitempty"`
	To       string        `json:"to,omitempty"`  // fallback: the next provider
	For      time.Duration `json:"for,omitempty"` // cooldown: how long
	Request  string        `json:"request,omitempty"`
	// Result is what became of a changed configuration, "" before that is decided.
	Result ReloadResult `json:"result,omitempty"`
	Text   string       `json:"text"`
}
