package proxy

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"anyproxy/internal/jsonscan"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/providers/tokens"
	"anyproxy/proxy/routing"
)

// failureWords gives the status and the safe words with which a failure is told
// to a client when the upstream's own answer cannot be.
func failureWords(e *providers.Error) (status int, message string) {
	if e.Provider == "" { // nobody was asked
		return e.Status, e.Err.Error()
	}
	switch e.Class {
	case providers.ClassTimeout:
		return http.StatusGatewayTimeout, fmt.Sprintf("provider %s: no answer in time", e.Provider)
	case providers.ClassConnect:
		return http.StatusBadGateway, fmt.Sprintf("provider %s: cannot be reached", e.Provider)
	case providers.ClassBroken:
		return http.StatusBadGateway, fmt.Sprintf("provider %s: the answer broke off", e.Provider)
	case providers.ClassBadResponse:
		return http.StatusBadGateway, fmt.Sprintf("provider %s: the answer is not one of the Messages API", e.Provider)
	}
	return e.Status, fmt.Sprintf("provider %s answered %d", e.Provider, e.Status)
}

// Verdict translates what kind a failure is of into what it means for the
// upstream's standing.
func Verdict(c providers.Class) routing.Verdict {
	switch c {
	case providers.ClassInvalid, providers.ClassCanceled:
		return routing.Neutral
	case providers.ClassRateLimited, providers.ClassOverloaded, providers.ClassNoModel:
		return routing.Capacity
	case providers.ClassConnect:
		return routing.Unreached
	case providers.ClassCredential:
		return routing.Refused
	case providers.ClassTimeout:
		return routing.Late
	default:
		return routing.Faulty
	}
}

// reason tells a failure to people, on one line, without secrets.
func (s *Server) reason(e *providers.Error) string {
	text := strings.ReplaceAll(e.Class.String(), "_", " ")
	if e.Status != 0 {
		text = strconv.Itoa(e.Status) + " " + text
	}
	if e.RetryAfter > 0 {
		text += ", retry after " + e.RetryAfter.Round(time.Second).String()
	}
	if e.Err != nil { // where both are set this is the fuller one
		text += ": " + e.Err.Error()
	} else if m := upstreamMessage(e.Body); m != "" {
		text += ": " + m
	}
	return s.redact.String(text)
}

// reason is what the Server's says, which is found once for the latest failure.
func (x *exchange) reason(e *providers.Error) string {
	if x.latest.failure != e {
		x.latest.failure, x.latest.reason = e, x.s.reason(e)
	}
	return x.latest.reason
}

// upstreamMessage is error.message of an error in Anthropic's shape.
func upstreamMessage(body []byte) string {
	o, err := jsonscan.OpenObject(body, 0, maxDepth)
	if err != nil {
		return ""
	}
	for o.Next() {
		if jsonscan.Is(o.Key, "error") {
			return member(o.Raw(), "message")
		}
	}
	return ""
}

// outcome is how an attempt ended, for the meters and the log.
func (x *exchange) outcome(a *answer, failure *providers.Error) metrics.Result {
	switch {
	case failure == nil:
		return metrics.Result{Outcome: metrics.OutcomeOK, Status: a.stream.Status}
	case x.r.Context().Err() != nil:
		return metrics.Result{Outcome: metrics.OutcomeCanceled, Status: failure.Status}
	}
	out := metrics.Result{Outcome: failure.Class.String(), Status: failure.Status, Reason: x.reason(failure)}
	if x.passedThrough(a.p.Provider, failure) {
		out.Outcome = providers.ClassInvalid.String() // the client's own credential is not the provider's fault
	}
	return out
}

// verdictOn is what a failure means for the upstream's standing.
func (x *exchange) verdictOn(a *answer, failure *providers.Error) routing.Verdict {
	counting := x.req.Endpoint == providers.CountTokens
	switch {
	case failure == nil && counting:
		return routing.Neutral // counting is limited apart: it does not tell that there is room for messages
	case failure == nil:
		return routing.Good
	case x.r.Context().Err() != nil || x.passedThrough(a.p.Provider, failure):
		return routing.Neutral
	case failure.Class == providers.ClassTimeout && !x.committed && x.timeLeft() <= 0 &&
		time.Since(a.sent) < x.rt.providers[a.p.Provider].config.Timeouts.FirstByte:
		return routing.Neutral // others have used up the request's time
	}
	v := Verdict(failure.Class)
	if counting && v != routing.Unreached && v != routing.Refused {
		return routing.Neutral // a provider without that endpoint can be a good one
	}
	return v
}

// report gives the outcome of an attempt to everybody who keeps count.
func (x *exchange) report(a *answer, failure *providers.Error) {
	p, out := a.p, x.outcome(a, failure)
	done, reading := x.recordAttempt(a, out, failure)
	x.charge(&done)
	x.result = routing.Result{Verdict: x.verdictOn(a, failure), Reason: out.Reason, Committed: x.committed, Reading: reading}
	if failure == nil && !done.Tokens.Estimated {
		x.result.Output = done.Tokens.Output
	}
	if failure != nil {
		x.result.RetryAfter = failure.RetryAfter
		if failure.Class == providers.ClassNoModel {
			x.result.RetryAfter = NoModelPause
		}
		if failure.Limits != (providers.Limits{}) && x.req.Endpoint != providers.CountTokens {
			p.Limits(limitsOf(failure.Limits))
		}
		x.note(a, failure)
	}
	p.Report(x.result)
	if x.result.Verdict == routing.Refused {
		x.s.refused(metrics.Event{Kind: metrics.EventCredential, Provider: p.Provider, Request: x.id, Text: out.Reason})
	}
}

// NoModelPause is how long a model is left alone that its provider does not have
// for us: somebody must do something about it.
const NoModelPause = 5 * time.Minute

// usefulness orders failures by what helps the client most: a wait it can obey,
// then a shortage that passes, then an upstream's own words, then ours.
func usefulness(e *providers.Error) int {
	switch e.Class {
	case providers.ClassRateLimited:
		return 0
	case providers.ClassOverloaded:
		return 1
	case providers.ClassServer:
		return 2
	case providers.ClassCredential, providers.ClassNoModel:
		return 4
	default:
		return 3
	}
}

// exhausted answers when no candidate is left: with the most useful failure.
func (x *exchange) exhausted() {
	ready := x.route.ReadyIn()
	best := x.mostUseful(&providers.Error{Status: statusOverloaded, Class: providers.ClassOverloaded, Err: errAllCooling})
	x.s.event(metrics.Event{Kind: metrics.EventExhausted, Provider: best.Provider, Model: best.Model, Request: x.id,
		Text: fmt.Sprintf("%d of %d candidates tried, told: %s", x.attempts, x.route.Len(), x.s.reason(best))})
	x.relayError(best, ready)
}

// late answers when the request's time is up before its first content.
func (x *exchange) late() {
	x.relayError(x.mostUseful(&providers.Error{Status: http.StatusGatewayTimeout, Class: providers.ClassTimeout, Err: errDeadline}), notExhausted)
}

// mostUseful picks among the failures; without any it is the one given.
func (x *exchange) mostUseful(none *providers.Error) *providers.Error {
	if len(x.failures) == 0 {
		return none
	}
	best := x.failures[0]
	for _, e := range x.failures[1:] {
		if d := usefulness(e) - usefulness(best); d < 0 || d == 0 && soonerRetry(e, best) {
			best = e
		}
	}
	return best
}

var errDeadline = errors.New("no content within the time that a request may take")

// errAllCooling is told when every candidate has asked to be left alone for
// long, and has been asked all the same within the last minute.
var errAllCooling = errors.New("every provider for this model is cooling down")

func soonerRetry(a, b *providers.Error) bool {
	return a.RetryAfter > 0 && (b.RetryAfter == 0 || a.RetryAfter < b.RetryAfter)
}

// relayError answers with an upstream's failure: byte for byte where it is fit
// for a client, in our words elsewhere. ready is how long it takes until a
// candidate can be asked again, 0 = now, or notExhausted.
func (x *exchange) relayError(e *providers.Error, ready time.Duration) {
	if x.req.Endpoint == providers.CountTokens && !x.told(e) {
		x.countHere()
		return
	}
	status, message := failureWords(e)
	body := e.Body
	if e.Class == providers.ClassCredential && status != http.StatusPaymentRequired && !x.rt.passthrough(e.Provider) {
		// The key is ours, not the client's: a 401 would make it ask again for minutes.
		status, body = http.StatusForbidden, nil
		message = fmt.Sprintf("provider %s refused its configured key", e.Provider)
		if e.Status == 0 {
			message = fmt.Sprintf("the configured key of provider %s cannot be read", e.Provider)
		}
		if said := upstreamMessage(e.Body); said != "" {
			message += ": " + said
		}
	}
	var header http.Header
	if body == nil {
		body = errorBody(x.id, status, x.s.redact.String(message))
	} else {
		status, header = e.Status, e.Header
	}
	x.end(metrics.PhaseFailed, status, x.s.reason(e)) // so that a client that has the answer finds its record
	x.reply.fail(status, body, func(h http.Header) {
		copyHeader(h, header)
		h.Del("Retry-After")
		h.Del("Retry-After-Ms") // what is told is for this client, below
		x.stamp(h, e.Provider, e.Model)
		if ready >= 0 {
			h.Set("X-Anyproxy-Fallback-Exhausted", "true")
		}
		if wait := retryAfter(e.RetryAfter, ready); wait > 0 {
			h.Set("Retry-After", strconv.Itoa(wait))
		}
	})
}

// told reports whether a failure to count tokens is the client's to know: what
// is wrong with its request or its own credential. All else is no reason to
// leave it without a count: there are good upstreams without that endpoint.
func (x *exchange) told(e *providers.Error) bool {
	missing := e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed
	return e.Class == providers.ClassInvalid && !missing || x.passedThrough(e.Provider, e)
}

// countHere answers count_tokens with an estimate.
func (x *exchange) countHere() {
	body := fmt.Appendf(nil, `{"input_tokens":%d}`, tokens.Count(x.req.Body.Bytes()).Estimate())
	x.reply.open(http.StatusOK, func(h http.Header) {
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		x.stamp(h, "", "")
		h.Set("X-Anyproxy-Degraded", "count_tokens")
	})
	_ = x.reply.write(time.Now(), body) // the client may be gone
}

// notExhausted stands for the time until a candidate is ready where that is not
// the question.
const notExhausted = -1

// refuse answers with an error of our own and ends the request.
func (x *exchange) refuse(e *refusal) {
	x.end(metrics.PhaseFailed, e.status, e.message)
	x.reply.fail(e.status, errorBody(x.id, e.status, e.message), e.setHeader)
}

// maxRetryAfter is the longest wait worth telling: Claude Code sleeps up to
// 60 s and gives up above that.
const maxRetryAfter = 60

// retryAfter is the wait in whole seconds to tell the client, 0 for none: the
// upstream's own or until a candidate is ready, whichever is sooner.
func retryAfter(own, ready time.Duration) int {
	wait := own
	if ready > 0 && (wait <= 0 || ready < wait) {
		wait = ready
	}
	if wait <= 0 {
		return 0
	}
	return min(int(math.Ceil(wait.Seconds())), maxRetryAfter)
}
