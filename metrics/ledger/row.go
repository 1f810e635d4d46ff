package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"anyproxy/internal/jsonline"
)

// version of the row format. Fields may be added within a version; one whose
// meaning changes, or that goes, makes a new one.
const version = 1

// Kind says what a Row tells of. Readers skip kinds that they do not know.
type Kind string

const (
	KindAttempt    Kind = "attempt"    // one exchange with one upstream has ended
	KindRequest    Kind = "request"    // a client's request has ended
	KindStart      Kind = "start"      // the program serves
	KindStop       Kind = "stop"       // the program has ended in good order
	KindConfig     Kind = "config"     // a changed configuration was applied, rejected or found invalid
	KindOperator   Kind = "operator"   // a person has done something to a provider
	KindCredential Kind = "credential" // a credential was refused, renewed or written back
	KindBudget     Kind = "budget"     // a limit is near or reached
)

// Row is one line of a day file: JSON, and a newline. It never holds anything of
// what was said, and no secret. Fields that are zero are left out.
type Row struct {
	V    int       `json:"v"` // version
	Kind Kind      `json:"kind"`
	Time time.Time `json:"time"` // of the end of what is told of, local

	RequestID string `json:"request_id,omitempty"`
	Attempt   int    `json:"attempt,omitempty"`  // its number, from 1
	Attempts  int    `json:"attempts,omitempty"` // of a request: how many it took
	Session   string `json:"session,omitempty"`
	Key       string `json:"key,omitempty"`        // the client key's name
	KeySHA256 string `json:"key_sha256,omitempty"` // the first 8 hex digits of its SHA-256; of a credential: of its new value's
	Method    string `json:"method,omitempty"`
	Path      string `json:"path,omitempty"`
	Asked     string `json:"asked,omitempty"`    // the model that the client named
	Provider  string `json:"provider,omitempty"` // of a request: of its last attempt
	Model     string `json:"model,omitempty"`    // by the upstream's name

	// Outcome is, of an attempt, ok, canceled or the failure's class, as
	// metrics.AttemptRecord lists them; of a request ok, failed or canceled; of a
	// configuration applied, rejected or invalid; of a credential refused (by its
	// provider), renewed, not_renewed, written_back or not_written.
	Outcome    string  `json:"outcome,omitempty"`
	StatusCode int     `json:"status_code,omitempty"` // the upstream's; of a request: what the client got
	Stream     bool    `json:"is_streaming,omitempty"`
	Duration   float64 `json:"duration_seconds,omitempty"`
	TTFT       float64 `json:"ttft_seconds,omitempty"`

	Input        int64 `json:"input_tokens,omitempty"` // without those of caches
	Output       int64 `json:"output_tokens,omitempty"`
	CacheRead    int64 `json:"cache_read_tokens,omitempty"`
	CacheWrite   int64 `json:"cache_write_tokens,omitempty"`    // all of them
	CacheWrite1h int64 `json:"cache_write_1h_tokens,omitempty"` // the part that is kept for an hour
	Reasoning    int64 `json:"reasoning_tokens,omitempty"`      // the part of the output that was thinking
	Estimated    bool  `json:"estimated,omitempty"`             // the output is counted from bytes

	Cost         float64 `json:"cost_usd,omitempty"`
	Unpriced     bool    `json:"unpriced,omitempty"`     // the cost, or a part of it, is not known
	Subscription bool    `json:"subscription,omitempty"` // the provider is paid otherwise

	Version string `json:"version,omitempty"` // of the program
	File    string `json:"file,omitempty"`    // the configuration
	SHA256  string `json:"sha256,omitempty"`  // of its text
	By      string `json:"by,omitempty"`      // who decided: prompt, dashboard, -yes, signal
	Text    string `json:"text,omitempty"`    // for people
}

// appendRow appends r as a line, byte for byte as encoding/json would.
func appendRow(b []byte, r *Row) []byte {
	l := jsonline.Line(b)
	l.Open('{')
	l.Int("v", int64(r.V))
	l.String("kind", string(r.Kind))
	l.Time("time", r.Time)
	l.OptString("request_id", r.RequestID)
	l.OptInt("attempt", int64(r.Attempt))
	l.OptInt("attempts", int64(r.Attempts))
	l.OptString("session", r.Session)
	l.OptString("key", r.Key)
	l.OptString("key_sha256", r.KeySHA256)
	l.OptString("method", r.Method)
	l.OptString("path", r.Path)
	l.OptString("asked", r.Asked)
	l.OptString("provider", r.Provider)
	l.OptString("model", r.Model)
	l.OptString("outcome", r.Outcome)
	l.OptInt("status_code", int64(r.StatusCode))
	l.OptBool("is_streaming", r.Stream)
	l.OptFloat("duration_seconds", r.Duration)
	l.OptFloat("ttft_seconds", r.TTFT)
	l.OptInt("input_tokens", r.Input)
	l.OptInt("output_tokens", r.Output)
	l.OptInt("cache_read_tokens", r.CacheRead)
	l.OptInt("cache_write_tokens", r.CacheWrite)
	l.OptInt("cache_write_1h_tokens", r.CacheWrite1h)
	l.OptInt("reasoning_tokens", r.Reasoning)
	l.OptBool("estimated", r.Estimated)
	l.OptFloat("cost_usd", r.Cost)
	l.OptBool("unpriced", r.Unpriced)
	l.OptBool("subscription", r.Subscription)
	l.OptString("version", r.Version)
	l.OptString("file", r.File)
	l.OptString("sha256", r.SHA256)
	l.OptString("by", r.By)
	l.OptString("text", r.Text)
	l.Close('}')
	return append(l, '\n')
}

// longest is how many bytes of a text that comes from outside a Row keeps.
const longest = 256

// clip shortens s to what a Row keeps.
func clip(s string) string {
	if len(s) > longest {
		s = s[:longest]
	}
	return s
}

// parseRow reads a line. Numbers that nobody can have written are refused: one
// of them would spoil every sum.
func parseRow(line []byte) (r Row, err error) {
	if err = json.Unmarshal(line, &r); err != nil {
		return r, err
	}
	switch {
	case r.V != version:
		return r, fmt.Errorf("a row of version %d", r.V)
	case r.Kind == "":
		return r, errors.New("a row without a kind")
	case min(r.Input, r.Output, r.CacheRead, r.CacheWrite, r.CacheWrite1h, r.Reasoning) < 0,
		max(r.Input, r.Output, r.CacheRead, r.CacheWrite, r.CacheWrite1h, r.Reasoning) > maxTokens:
		return r, errors.New("a number of tokens that cannot be")
	case !(r.Cost >= 0 && r.Cost <= maxCost):
		return r, errors.New("a cost that cannot be")
	}
	return r, nil
}

// What one attempt can at most take, so that sums of damaged rows do not overflow.
const (
	maxTokens = 1 << 40
	maxCost   = 1e9
)

// finite is x, or 0 when JSON has no number for it.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}
