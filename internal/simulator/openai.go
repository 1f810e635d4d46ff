package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// routeOpenAI is the table of paths of an upstream of the OpenAI format: any
// prefix, as Azure and others have one.
func (u *Upstream) routeOpenAI(w http.ResponseWriter, r *http.Request, rec *Received, bodyErr error) {
	id := newID("req_")
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("X-Ratelimit-Limit-Requests", "5000")
	w.Header().Set("X-Ratelimit-Remaining-Requests", "4999")
	w.Header().Set("X-Ratelimit-Reset-Requests", "12ms")
	refuse := func(status int, message string) { u.writeOpenAI(w, Reply{Status: status, Message: message}) }
	switch path := r.URL.Path; {
	case bodyErr != nil:
		refuse(http.StatusRequestEntityTooLarge, "Request exceeds the maximum size")
	case strings.HasSuffix(path, "/chat/completions") && r.Method == http.MethodPost:
		if problem := checkChat(rec.Body, u.dialect.Refuse); problem != "" {
			refuse(http.StatusBadRequest, problem)
			return
		}
		u.complete(w, r, rec)
	case strings.HasSuffix(path, "/models") && r.Method == http.MethodGet:
		writeJSON(w, http.StatusOK, u.dialect.list(u.models))
	case strings.HasSuffix(path, "/chat/completions"):
		refuse(http.StatusMethodNotAllowed, "Method Not Allowed")
	default:
		refuse(http.StatusNotFound, "Invalid URL ("+r.Method+" "+path+")")
	}
}

func (u *Upstream) complete(w http.ResponseWriter, r *http.Request, rec *Received) {
	a, x := u.begun(w, r, rec)
	c := newCompletion(a, u.dialect, rec)
	x.refuse = u.writeOpenAI
	x.event = func(reply Reply) []byte { return u.dialect.data(u.dialect.failure(reply)) }
	if rec.Ask().Stream {
		x.contentType, x.timetable = "text/event-stream; charset=utf-8", c.stream()
	} else {
		x.contentType = "application/json"
		x.timetable, x.whole = c.whole()
	}
	x.serve()
}

func (u *Upstream) writeOpenAI(w http.ResponseWriter, reply Reply) {
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	if reply.Message != "" {
		writeJSON(w, reply.Status, u.dialect.failure(reply))
		return
	}
	if reply.Header.Get("Content-Type") == "" {
		w.Header()["Content-Type"] = nil // net/http is not to guess one
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write([]byte(reply.Body))
}

// failure is an error in the dialect's shape.
func (d *Dialect) failure(reply Reply) any {
	type detail struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    any     `json:"code"`
	}
	inner := detail{Message: reply.Message, Type: errorType(reply.Status), Code: reply.Status}
	switch d.Errors {
	case ErrorString:
		return map[string]string{"error": reply.Message}
	case ErrorArray:
		return []any{map[string]any{"error": inner}}
	case ErrorTop:
		return map[string]any{"object": "error", "message": inner.Message, "type": inner.Type, "param": nil, "code": inner.Code}
	case ErrorDetail:
		return map[string]string{"detail": reply.Message}
	default:
		return map[string]any{"error": inner}
	}
}

// The shapes of a chat completions request, as strict as OpenAI's own server:
// what is not here is refused.
type (
	chatRequest struct {
		Model               string          `json:"model"`
		Messages            []chatMessage   `json:"messages"`
		Stream              bool            `json:"stream"`
		StreamOptions       *chatOptions    `json:"stream_options"`
		MaxTokens           *int            `json:"max_tokens"`
		MaxCompletionTokens *int            `json:"max_completion_tokens"`
		Temperature         *float64        `json:"temperature"`
		TopP                *float64        `json:"top_p"`
		Stop                []string        `json:"stop"`
		User                string          `json:"user"`
		ServiceTier         string          `json:"service_tier"`
		ReasoningEffort     string          `json:"reasoning_effort"`
		ResponseFormat      json.RawMessage `json:"response_format"`
		Tools               []chatTool      `json:"tools"`
		ToolChoice          json.RawMessage `json:"tool_choice"`
		ParallelToolCalls   *bool           `json:"parallel_tool_calls"`
	}
	chatOptions struct {
		IncludeUsage bool `json:"include_usage"`
	}
	chatMessage struct {
		Role       string          `json:"role"`
		Content    json.RawMessage `json:"content"`
		ToolCalls  []chatCall      `json:"tool_calls"`
		ToolCallID string          `json:"tool_call_id"`
	}
	chatCall struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	}
	chatTool struct {
		Type     string `json:"type"`
		Function struct {
			Name        string          `json:"name"`
			Description *string         `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
			Strict      *bool           `json:"strict"`
		} `json:"function"`
	}
)

// checkChat tells what OpenAI's server would refuse first, "" = nothing.
func checkChat(body []byte, refused []string) string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "We could not parse the JSON body of your request."
	}
	for _, name := range refused {
		if fields[name] != nil {
			return fmt.Sprintf("Unsupported parameter: '%s' is not supported with this model.", name)
		}
	}
	var r chatRequest
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return "Unrecognized request argument supplied: " + err.Error()
	}
	switch {
	case r.Model == "":
		return "you must provide a model parameter"
	case len(r.Messages) == 0:
		return "Invalid 'messages': empty array."
	case r.MaxTokens != nil && r.MaxCompletionTokens != nil:
		return "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
	case r.StreamOptions != nil && !r.Stream:
		return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
	case len(r.Stop) > 4:
		return "Invalid 'stop': array too long."
	case len(r.User) > 64:
		return "Invalid 'user': string too long."
	case r.Tools != nil && len(r.Tools) == 0:
		return "Invalid 'tools': empty array."
	case r.Tools == nil && (r.ToolChoice != nil || r.ParallelToolCalls != nil):
		return "'tool_choice' is only allowed when 'tools' are specified."
	}
	return checkTurns(r.Messages)
}

// checkTurns verifies that every call is answered at once and nothing else is.
func checkTurns(messages []chatMessage) string {
	var open []string
	for i, m := range messages {
		if m.Role == "tool" {
			at := slices.Index(open, m.ToolCallID)
			if at < 0 {
				return fmt.Sprintf("Invalid parameter: messages[%d] with role 'tool' must be a response to a preceding message with 'tool_calls'.", i)
			}
			open = slices.Delete(open, at, at+1)
			continue
		}
		if len(open) > 0 {
			return fmt.Sprintf("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. (messages[%d]: %s)", i, open[0])
		}
		if !slices.Contains([]string{"system", "developer", "user", "assistant"}, m.Role) {
			return fmt.Sprintf("Invalid value: '%s' at messages[%d].role.", m.Role, i)
		}
		if len(m.ToolCalls) == 0 && (len(m.Content) == 0 || string(m.Content) == "null" || string(m.Content) == "[]") {
			return fmt.Sprintf("Invalid value for 'content': expected a string, got null. (messages[%d])", i)
		}
		for _, call := range m.ToolCalls {
			open = append(open, call.ID)
			if len(call.ID) > 40 || !json.Valid([]byte(call.Function.Arguments)) {
				return fmt.Sprintf("Invalid tool call %q in messages[%d].", call.ID, i)
			}
		}
	}
	if len(open) > 0 {
		return "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
	}
	return ""
}

// readChat reads a chat completions request; what cannot be read is left empty.
func readChat(body []byte) Ask {
	var r chatRequest
	if json.Unmarshal(body, &r) != nil {
		return Ask{}
	}
	ask := Ask{Model: r.Model, Stream: r.Stream}
	if r.ReasoningEffort != "" && r.ReasoningEffort != "none" {
		ask.Thinking = ShownThinking
	}
	turn := len(r.Messages)
	for turn > 0 && r.Messages[turn-1].Role != "assistant" {
		turn--
	}
	var texts []string
	for _, m := range r.Messages[turn:] {
		text := withoutReminders(joinText(askBlocks(m.Content)))
		switch {
		case m.Role == "tool":
			ask.Results = append(ask.Results, text)
		case m.Role == "user" && text != "":
			texts = append(texts, text)
		}
	}
	ask.Text = strings.Join(texts, "\n")
	return ask
}
