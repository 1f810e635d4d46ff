package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"anyproxy/internal/grammar"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

type client struct {
	http    *http.Client
	baseURL string
	key     string
}

// refusedError is an error of the API, by status or as an event.
type refusedError struct {
	status int // 200 for an error event
	kind   string
	after  time.Duration
}

func (e *refusedError) Error() string { return fmt.Sprintf("status %d %s", e.status, e.kind) }

// corruptError is an answer that breaks the grammar.
type corruptError struct{ err error }

func (e *corruptError) Error() string { return "corrupt answer: " + e.err.Error() }
func (e *corruptError) Unwrap() error { return e.err }

// send makes one request and reads its answer whole. A connection that fails
// gives neither a refusedError nor a corruptError.
func (c *client) send(ctx context.Context, conv *conversation, stream bool) (*grammar.Message, error) {
	body, err := conv.body(stream)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	// Claude Code adds ?beta=true to every request.
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.baseURL+"/v1/messages?beta=true", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	c.setHeaders(r.Header, conv.session)
	res, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return nil, &refusedError{status: res.StatusCode, after: time.Duration(seconds) * time.Second}
	}
	return judge(res.Header.Get("Content-Type"), answer, stream)
}

func (c *client) setHeaders(h http.Header, session string) {
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json")
	h.Set("Anthropic-Version", "2023-06-01")
	h.Set("Anthropic-Beta", "claude-code-20250219,interleaved-thinking-2025-05-14")
	h.Set("User-Agent", "claude-cli/2.1 (simulated)")
	h.Set("X-App", "cli")
	h.Set("X-Claude-Code-Session-Id", session)
	if c.key != "" {
		h.Set("X-Api-Key", c.key)
	}
}

func judge(contentType string, answer []byte, stream bool) (*grammar.Message, error) {
	check, want := grammar.CheckWhole, "application/json"
	if stream {
		check, want = grammar.Check, "text/event-stream"
	}
	if !strings.HasPrefix(contentType, want) {
		return nil, &corruptError{errors.New("content type " + strconv.Quote(contentType))}
	}
	m, err := check(answer)
	if err != nil {
		return nil, &corruptError{err}
	}
	if m.End == grammar.Failed {
		return nil, &refusedError{status: http.StatusOK, kind: m.ErrorType}
	}
	return m, nil
}
