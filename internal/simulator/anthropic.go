package simulator

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// maxBody is the API's limit on a request body.
const maxBody = 32 << 20

// route is the Anthropic API's table of paths. bodyErr is what reading
// the body met: it is too large, or the client has gone.
func (u *Upstream) route(w http.ResponseWriter, r *http.Request, rec *Received, bodyErr error) {
	id := newID("req_")
	setHeaders(w.Header(), id)
	refuse := func(status int, message string) { writeReply(w, Reply{Status: status, Message: message}, id) }
	switch path := r.URL.Path; {
	case bodyErr != nil:
		refuse(http.StatusRequestEntityTooLarge, "Request exceeds the maximum size")
	case r.Method == http.MethodHead && (path == "/" || path == "/api/hello"):
		w.WriteHeader(http.StatusOK)
	case path == "/v1/models" && r.Method == http.MethodGet:
		writeJSON(w, http.StatusOK, messagesList(u.models, r.URL.Query()))
	case path == "/v1/messages" && r.Method == http.MethodPost:
		if problem := checkRequest(rec.Body); problem != "" {
			refuse(http.StatusBadRequest, problem)
			return
		}
		u.answer(w, r, rec, id)
	case path == "/v1/messages/count_tokens" && r.Method == http.MethodPost:
		writeJSON(w, http.StatusOK, map[string]int{"input_tokens": len(rec.Body) / tokenBytes})
	case path == "/v1/messages" || path == "/v1/messages/count_tokens" || path == "/v1/models":
		refuse(http.StatusMethodNotAllowed, "Method Not Allowed")
	default:
		refuse(http.StatusNotFound, "Not Found")
	}
}

func (u *Upstream) answer(w http.ResponseWriter, r *http.Request, rec *Received, requestID string) {
	ask := rec.Ask()
	a, x := u.begun(w, r, rec)
	m := newMessage(a, ask.Model, len(rec.Body))
	x.refuse = func(w http.ResponseWriter, reply Reply) { writeReply(w, reply, requestID) }
	x.event = errorEvent
	if ask.Stream {
		x.contentType, x.timetable = "text/event-stream; charset=utf-8", m.stream()
		w.Header().Set("Cache-Control", "no-cache")
	} else {
		x.contentType = "application/json"
		x.timetable, x.whole = m.whole()
	}
	x.serve()
}

// setHeaders sets what every answer of the API carries.
func setHeaders(h http.Header, requestID string) {
	h.Set("Request-Id", requestID)
	h.Set("Anthropic-Organization-Id", "00000000-0000-4000-8000-000000000000")
	reset := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	for name, limit := range map[string]int{"requests": 4000, "tokens": 2_400_000, "input-tokens": 2_000_000, "output-tokens": 400_000} {
		prefix := "Anthropic-Ratelimit-" + name
		h.Set(prefix+"-Limit", strconv.Itoa(limit))
		h.Set(prefix+"-Remaining", strconv.Itoa(limit-1))
		h.Set(prefix+"-Reset", reset)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v))
}

func writeReply(w http.ResponseWriter, reply Reply, requestID string) {
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	if reply.Message != "" {
		writeJSON(w, reply.Status, apiError{Type: "error", Error: errorBody{errorType(reply.Status), reply.Message}, RequestID: requestID})
		return
	}
	if reply.Header.Get("Content-Type") == "" {
		w.Header()["Content-Type"] = nil // net/http is not to guess one
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write([]byte(reply.Body))
}

// checkRequest tells what the API would refuse first, "" = nothing.
func checkRequest(body []byte) string {
	var fields struct {
		Model     string          `json:"model"`
		MaxTokens json.RawMessage `json:"max_tokens"`
		Messages  json.RawMessage `json:"messages"`
	}
	switch err := json.Unmarshal(body, &fields); {
	case err != nil:
		return "The request body is not valid JSON: " + err.Error()
	case fields.Model == "":
		return "model: Field required"
	case fields.MaxTokens == nil:
		return "max_tokens: Field required"
	case fields.Messages == nil:
		return "messages: Field required"
	}
	return ""
}

// newID makes an id in the API's shape: a prefix, 01 and 22 letters and digits.
func newID(prefix string) string {
	const letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	id := []byte(prefix + "01")
	for range 22 {
		id = append(id, letters[rand.IntN(len(letters))])
	}
	return string(id)
}
