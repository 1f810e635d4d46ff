package proxy

import (
	"encoding/json"
	"net/http"
	"strconv"

	"anyproxy/providers"
)

// statusOverloaded is the Anthropic API's own status for "come back later".
const statusOverloaded = 529

// errorBody is the API's error shape.
func errorBody(id string, status int, message string) []byte {
	type detail struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	b, _ := json.Marshal(struct { // strings always marshal
		Type      string `json:"type"`
		Error     detail `json:"error"`
		RequestID string `json:"request_id"`
	}{"error", detail{providers.ErrorType(status), message}, id})
	return b
}

// refusal is an answer of our own with an error status.
type refusal struct {
	status     int
	message    string
	retryAfter string // the header's value, "" = none
}

func (e *refusal) Error() string { return e.message }

func refuse(status int, message string) *refusal { return &refusal{status: status, message: message} }

func (e *refusal) setHeader(h http.Header) {
	if e.retryAfter != "" {
		h.Set("Retry-After", e.retryAfter)
	}
}

// writeError answers with an error of our own.
func writeError(w http.ResponseWriter, id string, e *refusal) {
	body := errorBody(id, e.status, e.message)
	h := w.Header()
	e.setHeader(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // the client may be gone
}
