package requestlog

import (
	"time"

	"anyproxy/metrics"
)

// Directions of a line.
const (
	DirectionRequest  = "request"
	DirectionResponse = "response"
)

// Outcomes of an attempt that are no failure of the upstream.
const (
	outcomeOK       = "ok"
	outcomeCanceled = "canceled"
)

// Entry is one line, as its readers decode it. Fields that are zero are left out, but for those that
// anthropic-proxy's viewer reads without asking.
type Entry struct {
	Timestamp     time.Time         `json:"timestamp"`
	Direction     string            `json:"direction"`
	Provider      string            `json:"provider"`        // request: of the last attempt, "" when nothing was tried
	Model         string            `json:"model,omitempty"` // request: as asked; response: the upstream's name
	AttemptNumber int               `json:"attempt_number,omitempty"`
	Method        string            `json:"method,omitempty"`
	Path          string            `json:"path,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"` // dots, but for those of the allow-list
	Body          string            `json:"body,omitempty"`
	StatusCode    int               `json:"status_code,omitempty"` // request: sent to the client; response: the upstream's
	Duration      float64           `json:"duration_seconds,omitempty"`
	TokenCount    int64             `json:"token_count,omitempty"` // the same as output_tokens
	Success       bool              `json:"success"`
	Error         string            `json:"error,omitempty"`
	IsStreaming   bool              `json:"is_streaming"`

	RequestID        string            `json:"request_id,omitempty"`
	Session          string            `json:"session,omitempty"`
	TraceID          string            `json:"trace_id,omitempty"`     // of the W3C trace that the client named
	TTFT             float64           `json:"ttft_seconds,omitempty"` // request: since it came; response: since it was sent
	TPS              float64           `json:"tps,omitempty"`          // output tokens per second from the first token on
	InputTokens      int64             `json:"input_tokens,omitempty"`
	OutputTokens     int64             `json:"output_tokens,omitempty"`
	CacheReadTokens  int64             `json:"cache_read_tokens,omitempty"`
	CacheWriteTokens int64             `json:"cache_write_tokens,omitempty"`
	CostUSD          *float64          `json:"cost_usd,omitempty"` // nil = not known
	Reason           string            `json:"reason,omitempty"`   // the class of the failure; request: of its last attempt
	Decision         *metrics.Decision `json:"decision,omitempty"` // request only
}

func requestEntry(rec *metrics.RequestRecord) Entry {
	e := Entry{
		Timestamp: rec.Time, Direction: DirectionRequest, Model: rec.Model, Method: rec.Method, Path: rec.Path,
		StatusCode: rec.Status, Duration: rec.Duration.Seconds(), Success: rec.Phase == metrics.PhaseOK, Error: rec.Error,
		IsStreaming: rec.Stream, RequestID: rec.ID, Session: rec.Session, TraceID: rec.Trace, TTFT: rec.TTFT.Seconds(), TPS: rec.TPS,
		Decision: &rec.Decision,
	}
	e.setTokens(rec.Tokens)
	e.setCost(&rec.Cost, rec.Unpriced, rec.Tokens)
	if n := len(rec.Decision.Attempts); n > 0 {
		e.Provider = rec.Decision.Attempts[n-1].Provider
		e.Reason = failure(rec.Decision.Attempts[n-1].Outcome)
	}
	if rec.Phase == metrics.PhaseCanceled {
		e.Reason = outcomeCanceled
	}
	return e
}

func attemptEntry(rec *metrics.RequestRecord, n int, a *metrics.AttemptRecord) Entry {
	e := Entry{
		Timestamp: a.Start.Add(a.Duration), Direction: DirectionResponse, Provider: a.Provider, Model: a.Model, AttemptNumber: n,
		StatusCode: a.Status, Duration: a.Duration.Seconds(), Success: a.Outcome == outcomeOK, Error: a.Reason,
		IsStreaming: rec.Stream, RequestID: rec.ID, Session: rec.Session, TraceID: rec.Trace, TTFT: a.TTFT.Seconds(), TPS: a.TPS,
		Reason: failure(a.Outcome),
	}
	e.setTokens(a.Tokens)
	e.setCost(&a.Cost, a.Unpriced, a.Tokens)
	return e
}

// setCost leaves out what is not known, also where it is so of a part only.
func (e *Entry) setCost(usd *float64, unpriced bool, t metrics.Tokens) {
	if !unpriced && (*usd > 0 || t.Any()) {
		e.CostUSD = usd
	}
}

func (e *Entry) setTokens(t metrics.Tokens) {
	e.TokenCount, e.InputTokens, e.OutputTokens = t.Output, t.Input, t.Output
	e.CacheReadTokens, e.CacheWriteTokens = t.CacheRead, t.CacheWrite
}

func failure(outcome string) string {
	if outcome == outcomeOK {
		return ""
	}
	return outcome
}
