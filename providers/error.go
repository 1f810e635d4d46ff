package providers

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Class is what kind of failure an attempt met: what the proxy branches on.
type Class uint8

const (
	// ClassInvalid is the request's own fault (400, 404, 413, 422 and every
	// 4xx not named below): another provider would say the same.
	ClassInvalid     Class = iota
	ClassRateLimited       // 429
	ClassOverloaded        // 503, 529: the upstream's servers, not our account
	ClassServer            // other 5xx
	ClassCredential        // 401, 402, 403: the upstream refused the key it was shown
	ClassConnect           // DNS, dial or TLS: nothing was sent
	ClassBroken            // reset, cut or garbage after something was sent
	ClassTimeout           // 408, 504, or silence beyond a deadline
	ClassBadResponse       // an answer that is no answer: HTML, empty, redirect, not what was asked
	ClassCanceled          // the client left; no failure of the upstream
	ClassNoModel           // this account has no such model; it may have others
)

var classNames = [...]string{"invalid_request", "rate_limited", "overloaded", "server_error", "credential_refused",
	"connect", "broken", "timeout", "bad_upstream_response", "canceled", "no_model"}

func (c Class) String() string { return classNames[c] }

// ParseClass is the class of that name.
func ParseClass(name string) (c Class, ok bool) {
	i := slices.Index(classNames[:], name)
	return Class(max(i, 0)), i >= 0
}

// Fallback reports whether another upstream may succeed where this one failed:
// on all that is not the request's own fault or its client's leaving.
func (c Class) Fallback() bool { return c != ClassInvalid && c != ClassCanceled }

// ClassOf gives the class of an upstream's error status.
func ClassOf(status int) Class {
	switch {
	case status == http.StatusTooManyRequests:
		return ClassRateLimited
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return ClassTimeout
	case status == http.StatusServiceUnavailable, status == 529:
		return ClassOverloaded
	case status >= 500:
		return ClassServer
	case status == http.StatusUnauthorized, status == http.StatusPaymentRequired, status == http.StatusForbidden:
		return ClassCredential
	case status >= 400:
		return ClassInvalid
	default:
		return ClassBadResponse
	}
}

// ErrorType gives the Messages API's error.type for a status.
// Source: the API reference's list of errors.
func ErrorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable, 529:
		return "overloaded_error"
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return "timeout_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

// Error is a failed attempt. Its text is for the operator and names neither
// keys nor bodies.
type Error struct {
	Provider string
	Model    string // the upstream's name of it
	Status   int    // the upstream's status; for an error event the status its type stands for; 0 when there was none
	Class    Class
	// RetryAfter is how long the upstream asked to be left alone, 0 when it did not say.
	RetryAfter time.Duration
	Limits     Limits
	// Header and Body are the upstream's answer in the client's format: byte
	// for byte from an Anthropic upstream, converted from others. Nil when
	// there was no answer fit for a client.
	Header http.Header
	Body   []byte
	// Renewed is set when asking again at once may succeed, as it will not be the
	// same request: the provider's key was refused or has used up its limit, and
	// there is another one by now, or the provider has learnt what the upstream
	// does not take.
	Renewed bool
	Err     error // the cause, nil when Status says it all
}

func (e *Error) Error() string {
	s := "upstream " + e.Provider
	if e.Model != "" {
		s += "/" + e.Model
	}
	s += ": " + e.Class.String()
	if e.Status != 0 {
		s += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }
