package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"anyproxy/internal/jsonscan"
	"anyproxy/metrics"
)

// Directions of a line, as proxy/requestlog writes them.
const (
	directionRequest  = "request"
	directionResponse = "response"
)

// depth is how deep a line may be nested. Bodies are strings in it.
const depth = 32

// Kinds of line that tell nothing.
var (
	errAttempt  = errors.New("an attempt's line: the request's has it, too")
	errDecision = errors.New("no decision: another program has written it")
)

// line is what is wanted of a request's line.
type line struct {
	at                   time.Time
	id, session, agent   string
	model, forced        string
	stream, ok, canceled bool
	took, ttft           time.Duration
	attempts             []metrics.AttemptRecord
}

// parseLine reads a line of a request log. errAttempt and errDecision are what
// others than broken lines come to. b may be used again afterwards.
func parseLine(b []byte) (l line, err error) {
	o, err := jsonscan.OpenObject(b, 0, depth)
	if err != nil {
		return l, err
	}
	direction, decided := "", false
	for o.Next() {
		switch raw := o.Raw(); string(o.Key) {
		case "direction":
			if direction, _ = jsonscan.Unquote(raw); direction == directionResponse {
				return l, errAttempt
			}
		case "decision":
			decided, err = true, l.decision(raw)
		case "headers":
			l.agent = member(raw, "X-Claude-Code-Agent-Id")
		default:
			err = l.field(string(o.Key), raw)
		}
		if err != nil {
			return l, err
		}
	}
	switch {
	case o.Err() != nil:
		return l, o.Err()
	case direction != directionRequest:
		return l, errors.New("not a line of a request log: its direction is neither request nor response")
	case !decided:
		return l, errDecision
	case l.at.IsZero():
		return l, errors.New("timestamp: it is missing")
	case !ofOurTime(l.at):
		return l, errors.New("timestamp: not of our time")
	}
	return l, nil
}

// field takes a member of the line.
func (l *line) field(name string, raw []byte) (err error) {
	switch name {
	case "timestamp":
		err = l.at.UnmarshalJSON(raw)
	case "request_id":
		l.id, _ = jsonscan.Unquote(raw)
	case "session":
		l.session, _ = jsonscan.Unquote(raw)
	case "model":
		l.model, _ = jsonscan.Unquote(raw)
	case "is_streaming":
		l.stream = string(raw) == "true"
	case "success":
		l.ok = string(raw) == "true"
	case "reason":
		l.canceled = string(raw) == `"`+metrics.OutcomeCanceled+`"`
	case "duration_seconds":
		l.took, err = duration(raw)
	case "ttft_seconds":
		l.ttft, err = duration(raw)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// decision takes what is wanted of it: the candidates are another router's.
func (l *line) decision(raw []byte) error {
	o, err := jsonscan.OpenObject(raw, 0, depth)
	if err != nil {
		return errors.New("decision: not an object")
	}
	for o.Next() {
		switch string(o.Key) {
		case "forced":
			l.forced, _ = jsonscan.Unquote(o.Raw())
		case "attempts":
			if err := json.Unmarshal(o.Raw(), &l.attempts); err != nil {
				return errors.New("decision: its attempts cannot be read")
			}
		}
	}
	for i := range l.attempts {
		if err := sound(&l.attempts[i]); err != nil {
			return fmt.Errorf("decision: attempt %d: %w", i+1, err)
		}
	}
	return nil
}

// ofOurTime reports whether a log can be from then. It keeps times within what
// Unix nanoseconds can be.
func ofOurTime(at time.Time) bool { return at.Year() >= 2000 && at.Year() < 2200 }

// sound refuses figures that nothing can have measured.
func sound(a *metrics.AttemptRecord) error {
	t := &a.Tokens
	switch {
	case !ofOurTime(a.Start):
		return errors.New("its start is not of our time")
	case a.Duration < 0 || a.TTFT < 0 || a.Duration > longest:
		return errors.New("a time that cannot be")
	case min(t.Input, t.Output, t.CacheRead, t.CacheWrite, t.CacheWrite1h, t.Searches) < 0,
		max(t.Input, t.Output, t.CacheRead, t.CacheWrite, t.CacheWrite1h, t.Searches) > mostTokens:
		return errors.New("a number of tokens that cannot be")
	case a.TPS < 0 || a.Cost < 0:
		return errors.New("a negative figure")
	}
	return nil
}

// mostTokens is a bound of each kind of tokens, far above what a request takes.
// The three of a prompt fit into an int32 together, see tokens.
const mostTokens = math.MaxInt32 / 3

// longest is a bound of times, far above what anything takes.
const longest = 30 * 24 * time.Hour

// duration reads seconds.
func duration(raw []byte) (time.Duration, error) {
	s, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(s >= 0 && s <= longest.Seconds()) {
		return 0, errors.New("not a number of seconds")
	}
	return time.Duration(s * float64(time.Second)), nil
}

// member is a text of an object, "" when there is none.
func member(raw []byte, name string) string {
	o, err := jsonscan.OpenObject(raw, 0, depth)
	for err == nil && o.Next() {
		if string(o.Key) == name {
			s, _ := jsonscan.Unquote(o.Raw())
			return s
		}
	}
	return ""
}

// retryAfter is the pause that an upstream had asked for. The log has it in the
// words of the failure: "429 rate limited, retry after 7s: …".
func retryAfter(reason string) time.Duration {
	_, rest, ok := strings.Cut(reason, ", retry after ")
	if !ok {
		return 0
	}
	word, _, _ := strings.Cut(rest, ":")
	d, err := time.ParseDuration(word)
	if err != nil || d < 0 {
		return 0
	}
	return d
}
