package requestlog

import (
	"net/http"
	"sync"

	"anyproxy/internal/jsonline"
	"anyproxy/internal/redact"
	"anyproxy/metrics"
)

// line is one on its way to the file, in a buffer that is used again.
type line struct {
	text    jsonline.Line
	size    int64          // bytes of the queue that are reserved for it
	secrets redact.Finding // of text
}

var lines = sync.Pool{New: func() any { return new(line) }}

// recycle gives the buffer back. One large body shall not hold its memory for ever.
func (l *line) recycle() {
	if cap(l.text) <= keepBuffer {
		l.text = l.text[:0]
		lines.Put(l)
	}
}

// append writes e byte for byte as encoding/json would, and a newline: with what
// may be seen of header in the place of e.Headers and with body in that of e.Body.
func (l *line) append(e *Entry, header http.Header, body []byte) {
	t := &l.text
	t.Open('{')
	t.Time("timestamp", e.Timestamp)
	t.String("direction", e.Direction)
	t.String("provider", e.Provider)
	t.OptString("model", e.Model)
	t.OptInt("attempt_number", int64(e.AttemptNumber))
	t.OptString("method", e.Method)
	t.OptString("path", e.Path)
	layouts.append(t, header)
	if len(body) > 0 {
		t.Name("body")
		*t = jsonline.AppendText(*t, body)
	}
	t.OptInt("status_code", int64(e.StatusCode))
	t.OptFloat("duration_seconds", e.Duration)
	t.OptInt("token_count", e.TokenCount)
	t.Bool("success", e.Success)
	t.OptString("error", e.Error)
	t.Bool("is_streaming", e.IsStreaming)
	t.OptString("request_id", e.RequestID)
	t.OptString("session", e.Session)
	t.OptString("trace_id", e.TraceID)
	t.OptFloat("ttft_seconds", e.TTFT)
	t.OptFloat("tps", e.TPS)
	t.OptInt("input_tokens", e.InputTokens)
	t.OptInt("output_tokens", e.OutputTokens)
	t.OptInt("cache_read_tokens", e.CacheReadTokens)
	t.OptInt("cache_write_tokens", e.CacheWriteTokens)
	if e.CostUSD != nil {
		t.Float("cost_usd", *e.CostUSD)
	}
	t.OptString("reason", e.Reason)
	if e.Decision != nil {
		t.Name("decision")
		appendDecision(t, e.Decision)
	}
	t.Close('}')
	*t = append(*t, '\n')
}

func appendDecision(t *jsonline.Line, d *metrics.Decision) {
	t.Open('{')
	t.String("alias", d.Alias)
	t.OptString("forced", d.Forced)
	if d.Session != (metrics.Binding{}) {
		t.Name("session")
		appendBinding(t, &d.Session)
	}
	appendList(t, "candidates", d.Candidates, appendCandidate)
	appendList(t, "attempts", d.Attempts, appendAttempt)
	t.Close('}')
}

func appendList[T any](t *jsonline.Line, name string, list []T, element func(*jsonline.Line, *T)) {
	if list == nil {
		t.Null(name)
		return
	}
	t.Name(name)
	t.Open('[')
	for i := range list {
		element(t, &list[i])
	}
	t.Close(']')
}

func appendBinding(t *jsonline.Line, b *metrics.Binding) {
	t.Open('{')
	t.String("kind", string(b.Kind))
	t.OptString("provider", b.Provider)
	t.OptString("model", b.Model)
	t.OptString("reason", b.Reason)
	t.Close('}')
}

func appendCandidate(t *jsonline.Line, c *metrics.Candidate) {
	t.Open('{')
	t.String("provider", c.Provider)
	t.String("model", c.Model)
	t.Int("tier", int64(c.Tier))
	t.Float("weight", c.Weight)
	t.OptFloat("w", c.W)
	if f := &c.Factors; *f != (metrics.Factors{}) {
		t.Name("factors")
		t.Open('{')
		t.Float("speed", f.Speed)
		t.Float("price", f.Price)
		t.Float("load", f.Load)
		t.Float("return", f.Return)
		t.Float("limit", f.Limit)
		t.Float("slow", f.Slow)
		t.Close('}')
	}
	t.OptFloat("speed", c.Speed)
	t.OptFloat("tps", c.TPS)
	t.OptInt("ttft", int64(c.TTFT))
	t.OptString("breaker", string(c.Breaker))
	t.OptString("skipped", c.Skipped)
	t.Close('}')
}

func appendAttempt(t *jsonline.Line, a *metrics.AttemptRecord) {
	t.Open('{')
	t.String("provider", a.Provider)
	t.String("model", a.Model)
	t.Time("start", a.Start)
	t.Int("duration", int64(a.Duration))
	t.Int("ttft", int64(a.TTFT))
	t.Float("tps", a.TPS)
	t.Name("tokens")
	appendTokens(t, &a.Tokens)
	t.OptFloat("cost_usd", a.Cost)
	t.OptBool("unpriced", a.Unpriced)
	t.OptBool("included", a.Included)
	t.Int("status", int64(a.Status))
	t.String("outcome", a.Outcome)
	t.OptString("reason", a.Reason)
	t.Close('}')
}

func appendTokens(t *jsonline.Line, n *metrics.Tokens) {
	t.Open('{')
	t.Int("input", n.Input)
	t.Int("output", n.Output)
	t.Int("cache_read", n.CacheRead)
	t.Int("cache_write", n.CacheWrite)
	t.OptInt("cache_write_1h", n.CacheWrite1h)
	t.OptInt("reasoning", n.Reasoning)
	t.OptInt("web_searches", n.Searches)
	t.OptBool("estimated", n.Estimated)
	t.OptBool("prompt_estimated", n.PromptEstimated)
	t.Close('}')
}
