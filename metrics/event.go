package metrics

import "time"

// EventKind is a closed set.
type EventKind string

const (
	EventFallback   EventKind = "fallback"   // an attempt failed, the next upstream is asked: Provider → To
	EventCooldown   EventKind = "cooldown"   // Provider is left out for For
	EventReturn     EventKind = "return"     // Provider answers again
	EventExhausted  EventKind = "exhausted"  // a request found no upstream that answers
	EventAborted    EventKind = "aborted"    // an answer broke off after the client had got content
	EventCredential EventKind = "credential" // Provider refused its key
	EventBudget     EventKind = "budget"     // a daily limit is near or reached, told by Text
	EventConfig     EventKind = "config"     // the configuration, told by Text
)

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
	Text     string        `json:"text"`
}
