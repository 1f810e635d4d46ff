package anthropic

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

// answers is an upstream that gives one answer.
func answers(status int, h map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, value := range h {
			w.Header()[http.CanonicalHeaderKey(name)] = []string{value}
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func jsonType() map[string]string { return map[string]string{"content-type": "application/json"} }

func packed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

const wholeMessage = `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[` +
	`{"type":"thinking","thinking":"hmm","signature":"EqQB"},{"type":"text","text":"a\nb"},{"type":"tool_use","id":"t","name":"n","input":{"a":1}}],` +
	`"stop_reason":"tool_use","usage":{"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":30,"output_tokens":40}}`

func TestWholeAnswer(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    map[string]string
		body string
	}{
		{"plain", jsonType(), wholeMessage},
		{"charset", map[string]string{"content-type": "application/json; charset=utf-8"}, wholeMessage},
		{"gzip unasked", map[string]string{"content-type": "application/json", "content-encoding": "gzip"}, packed(wholeMessage)},
		{"identity", map[string]string{"content-type": "application/json", "content-encoding": "identity"}, wholeMessage},
		{"white space around", jsonType(), " \n" + wholeMessage + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, got := send(t, serve(t, answers(200, tt.h, tt.body)), plainRequest(t))
			if got.err != nil {
				t.Fatal(got.err)
			}
			if strings.TrimSpace(got.bytes) != wholeMessage || len(got.frames) != 1 || got.last().Kind != providers.End {
				t.Errorf("got %d frames of %q", len(got.frames), got.bytes)
			}
			if want := (providers.Usage{Input: 10, Output: 40, CacheRead: 30, CacheWrite: 20}); got.usage != want {
				t.Errorf("usage %+v, want %+v", got.usage, want)
			}
			if want := len(`hmm`) + len(`a\nb`) + len(`{"a":1}`); got.text != want {
				t.Errorf("text %d, want %d", got.text, want)
			}
			if s.Header.Get("Content-Encoding") != "" || s.Header.Get("Content-Length") != "" || s.Status != 200 {
				t.Errorf("status %d, header %v", s.Status, s.Header)
			}
		})
	}
}

func TestLargeWholeAnswer(t *testing.T) {
	body := `{"type":"message","content":[{"type":"text","text":"` + strings.Repeat("long ", 1<<20) + `"}]}`
	_, got := send(t, serve(t, answers(200, jsonType(), body)), plainRequest(t))
	if got.err != nil || got.bytes != body || got.text != 5<<20 {
		t.Errorf("%d bytes, text %d, %v; want %d bytes", len(got.bytes), got.text, got.err, len(body))
	}
}

func TestCountTokens(t *testing.T) {
	r := plainRequest(t)
	r.Endpoint = providers.CountTokens
	_, got := send(t, serve(t, answers(200, jsonType(), `{"input_tokens":17}`)), r)
	if got.err != nil || got.bytes != `{"input_tokens":17}` || got.last().Kind != providers.End || got.last().Usage != nil {
		t.Errorf("%q, %+v, %v", got.bytes, got.last(), got.err)
	}
}

func TestResponseHeadersEndToEnd(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"application/json"}
		h["Request-Id"] = []string{"req_1"}
		h["Anthropic-Ratelimit-Tokens-Remaining"] = []string{"5"}
		h["X-Many"] = []string{"1", "2"}
		h["Set-Cookie"] = []string{"a=b"}
		h["Connection"] = []string{"x-hop"}
		h["X-Hop"] = []string{"1"}
		h["Keep-Alive"] = []string{"timeout=5"}
		h["Proxy-Authenticate"] = []string{"Basic"}
		h["Upgrade"] = []string{"h2c"}
		io.WriteString(w, `{"type":"message"}`)
	})
	s, got := send(t, p, plainRequest(t))
	if got.err != nil {
		t.Fatal(got.err)
	}
	var names []string
	for name := range s.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"Anthropic-Ratelimit-Tokens-Remaining", "Content-Type", "Date", "Request-Id", "X-Many"}
	if !slices.Equal(names, want) || !slices.Equal(s.Header["X-Many"], []string{"1", "2"}) {
		t.Errorf("header %v, want %v", s.Header, want)
	}
}

func TestErrorStatus(t *testing.T) {
	shape := `{"type":"error","error":{"type":"some_error","message":"prompt is too long: 2 tokens > 1 maximum"},"request_id":"req_1"}`
	for status, class := range map[int]providers.Class{
		400: providers.ClassInvalid, 404: providers.ClassInvalid, 413: providers.ClassInvalid, 422: providers.ClassInvalid,
		401: providers.ClassCredential, 402: providers.ClassCredential, 403: providers.ClassCredential, 408: providers.ClassTimeout,
		429: providers.ClassRateLimited, 500: providers.ClassServer, 502: providers.ClassServer, 503: providers.ClassOverloaded,
		504: providers.ClassTimeout, 529: providers.ClassOverloaded,
	} {
		for _, stream := range []bool{false, true} {
			h := map[string]string{"content-type": "application/json", "request-id": "req_1", "retry-after": "7", "set-cookie": "a=b"}
			_, err := serve(t, answers(status, h, shape)).Send(t.Context(), newRequest(t, smallBody, "renamed", stream))
			e := wantError(t, err, class)
			if e.Status != status || string(e.Body) != shape || e.RetryAfter != 7*time.Second || e.Model != "renamed" || e.Err != nil {
				t.Errorf("%d: %+v, body %s", status, e, e.Body)
			}
			if e.Header.Get("Request-Id") != "req_1" || e.Header.Get("Retry-After") != "7" || e.Header.Get("Set-Cookie") != "" || e.Header.Get("Content-Length") != "" {
				t.Errorf("%d: header %v", status, e.Header)
			}
		}
	}
}

func TestErrorBodyThatIsNotForClients(t *testing.T) {
	shape := `{"type":"error","error":{"type":"api_error","message":"m"}}`
	for name, tt := range map[string]struct {
		h    map[string]string
		body string
	}{
		"HTML":                 {map[string]string{"content-type": "text/html"}, "<html>Bad Gateway</html>"},
		"empty":                {jsonType(), ""},
		"another shape":        {jsonType(), `{"error":{"message":"m","type":"t"}}`},
		"no message":           {jsonType(), `{"type":"error","error":{"type":"t"}}`},
		"a string":             {jsonType(), `{"type":"error","error":"m"}`},
		"broken JSON":          {jsonType(), shape[:len(shape)-1]},
		"text behind":          {jsonType(), shape + "x"},
		"too large":            {jsonType(), shape[:len(shape)-3] + strings.Repeat("x", upstream.MaxErrorBody) + `"}}`},
		"unknown encoding":     {map[string]string{"content-encoding": "br"}, shape},
		"gzip that is none":    {map[string]string{"content-encoding": "gzip"}, shape},
		"gzip within too much": {map[string]string{"content-encoding": "gzip"}, packed(strings.Repeat(" ", upstream.MaxErrorBody) + shape)},
	} {
		_, err := serve(t, answers(503, tt.h, tt.body)).Send(t.Context(), streamRequest(t))
		if e := wantError(t, err, providers.ClassOverloaded); e.Body != nil || e.Header != nil || e.Status != 503 {
			t.Errorf("%s: %+v, body %.100s", name, e, e.Body)
		}
	}
	_, err := serve(t, answers(503, map[string]string{"content-encoding": "gzip"}, packed(shape))).Send(t.Context(), streamRequest(t))
	if e := wantError(t, err, providers.ClassOverloaded); string(e.Body) != shape || e.Header.Get("Content-Encoding") != "" {
		t.Errorf("packed: %+v, body %s", e, e.Body)
	}
}

func TestErrorBodyThatBreaksOff(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(429)
		io.WriteString(w, `{"type":"error"`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := p.Send(t.Context(), streamRequest(t))
	if e := wantError(t, err, providers.ClassRateLimited); e.Status != 429 || e.Body != nil || e.Err == nil {
		t.Errorf("%+v", e)
	}
}

func TestErrorNeverQuotesTheUpstreamsKey(t *testing.T) {
	const header = "tenant-secret-0987654321"
	coded := base64.StdEncoding.EncodeToString([]byte(testKey))
	quoting := `{"type":"error","error":{"type":"authentication_error","message":"key ` + testKey + ` (` + coded + `), ` + header + ` is wrong"}}`
	event := "event: error\ndata: " + quoting + "\n\n"
	check := func(what string, text []byte) {
		t.Helper()
		for _, secret := range []string{testKey, strings.TrimRight(coded, "="), header} {
			if len(text) == 0 || bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s: %s", what, text)
			}
		}
		if !bytes.Contains(text, []byte("is wrong")) {
			t.Errorf("%s lost its words: %s", what, text)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"status": answers(401, jsonType(), quoting), "JSON in 200": answers(200, jsonType(), quoting), "event": streamed(event),
	} {
		up := httptest.NewServer(h)
		t.Cleanup(up.Close)
		p := newProvider(t, config.Provider{Endpoint: up.URL, Headers: map[string]config.Secret{"x-tenant": config.NewSecret(header)}}, testKey)
		s, err := p.Send(t.Context(), streamRequest(t))
		if name == "event" {
			f, err := s.Next()
			if err != nil || f.Kind != providers.Failed {
				t.Fatalf("%+v, %v", f, err)
			}
			check("frame", f.Bytes)
			check("frame's error", f.Err.Body)
			s.Close()
			continue
		}
		check(name, wantError(t, err, providers.ClassCredential).Body)
	}
}

func TestClientsOwnKeyMayBeQuotedToIt(t *testing.T) {
	body := `{"type":"error","error":{"type":"authentication_error","message":"key sk-ant-api03-theClientsOwnKey123456 is wrong"}}`
	up := httptest.NewServer(answers(401, jsonType(), body))
	t.Cleanup(up.Close)
	_, err := newProvider(t, config.Provider{Endpoint: up.URL, Auth: config.AuthPassthrough}, "").Send(t.Context(), plainRequest(t))
	if e := wantError(t, err, providers.ClassCredential); string(e.Body) != body {
		t.Errorf("body %s", e.Body)
	}
}

func TestErrorInsideAnAcceptedAnswer(t *testing.T) {
	for typ, want := range map[string]struct {
		status int
		class  providers.Class
	}{
		"invalid_request_error": {400, providers.ClassInvalid}, "authentication_error": {401, providers.ClassCredential},
		"billing_error": {402, providers.ClassCredential}, "permission_error": {403, providers.ClassCredential},
		"not_found_error": {404, providers.ClassInvalid}, "request_too_large": {413, providers.ClassInvalid},
		"rate_limit_error": {429, providers.ClassRateLimited}, "api_error": {500, providers.ClassServer},
		"timeout_error": {504, providers.ClassTimeout}, "overloaded_error": {529, providers.ClassOverloaded},
		"of a kind that is new": {500, providers.ClassServer},
	} {
		body := fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":"m"}}`, typ)
		for _, stream := range []bool{false, true} {
			_, got := send(t, serve(t, answers(200, jsonType(), body)), newRequest(t, smallBody, "claude-sonnet-4-5", stream))
			e := wantError(t, got.err, want.class)
			if e.Status != want.status || string(e.Body) != body || e.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s, stream %v: %+v, body %s", typ, stream, e, e.Body)
			}
		}
	}
}

func TestAnswerThatIsNone(t *testing.T) {
	html := map[string]string{"content-type": "text/html"}
	sse := map[string]string{"content-type": "text/event-stream"}
	for name, tt := range map[string]struct {
		stream bool
		status int
		h      map[string]string
		body   string
		want   string // part of the error
	}{
		"HTML for a stream":        {true, 200, html, "<html>", `content type "text/html"`},
		"HTML for a message":       {false, 200, html, "<html>", `content type "text/html"`},
		"nothing":                  {true, 200, map[string]string{"content-type": ""}, "", `content type ""`},
		"stream for a message":     {false, 200, sse, "event: ping\n\n", "text/event-stream"},
		"message for a stream":     {true, 200, jsonType(), wholeMessage, "JSON instead of a stream"},
		"empty":                    {false, 200, jsonType(), "", "answer:"},
		"no JSON":                  {false, 200, jsonType(), "<html>", "answer:"},
		"JSON but no object":       {false, 200, jsonType(), "[1]", "no object"},
		"text behind":              {false, 200, jsonType(), wholeMessage + "x", "answer:"},
		"no message":               {false, 200, jsonType(), `{"type":"completion"}`, "no message"},
		"too deep":                 {false, 200, jsonType(), `{"type":"message","x":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + "}", "nested"},
		"encoding":                 {false, 200, map[string]string{"content-type": "application/json", "content-encoding": "br"}, "x", `content encoding "br"`},
		"two encodings":            {true, 200, map[string]string{"content-type": "text/event-stream", "content-encoding": "gzip, gzip"}, "x", "content encoding"},
		"redirect":                 {true, 302, map[string]string{"location": "https://user:hunter2@evil.example/hunter2?hunter2"}, "", `redirect to host "evil.example"`},
		"redirect without a host":  {false, 308, map[string]string{"location": "/v2/hunter2"}, "", "redirect to the same host"},
		"redirect with garbage":    {false, 307, map[string]string{"location": "http://[hunter2"}, "", "redirect to the same host"},
		"no content":               {true, 204, nil, "", "no content"},
		"a stream of no content":   {true, 204, sse, "", "no content"},
		"success without a stream": {true, 201, map[string]string{"content-type": "text/plain"}, "ok", "text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked int
			p := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				answers(tt.status, tt.h, tt.body)(w, r)
			})
			_, got := send(t, p, newRequest(t, smallBody, "claude-sonnet-4-5", tt.stream))
			e := wantError(t, got.err, providers.ClassBadResponse)
			if e.Status != tt.status || e.Body != nil || asked != 1 {
				t.Errorf("status %d, body %q, asked %d times", e.Status, e.Body, asked)
			}
			if !strings.Contains(e.Error(), tt.want) || strings.Contains(e.Error(), "hunter2") {
				t.Errorf("error %q, want %q", e, tt.want)
			}
		})
	}
}

func TestWholeAnswerThatBreaksOff(t *testing.T) {
	for cut := 0; cut < len(wholeMessage); cut += 13 {
		for _, how := range []string{"content-length", "chunked", "close-delimited"} {
			p := serve(t, cutAnswer(t, how, wholeMessage[:cut]))
			_, got := send(t, p, plainRequest(t))
			if got.bytes != "" || len(got.frames) > 0 {
				t.Fatalf("%s cut at %d: got %q", how, cut, got.bytes)
			}
			want := providers.ClassBroken
			if cut == 0 && how == "close-delimited" {
				want = providers.ClassBadResponse // empty, but whole
			}
			wantError(t, got.err, want)
		}
	}
}

// cutAnswer promises more than it sends, but for close-delimited, where
// nothing is promised.
func cutAnswer(t *testing.T, how, body string) http.HandlerFunc {
	head := "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
	switch how {
	case "content-length":
		head = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body)+1)
	case "chunked":
		head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
		if body != "" {
			body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hijack(t, w, func(c net.Conn) { io.WriteString(c, head+body) })
	}
}

func hijack(t *testing.T, w http.ResponseWriter, f func(net.Conn)) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	f(c)
	c.Close()
}

func TestCloseDelimitedAnswerIsWhole(t *testing.T) {
	p := serve(t, cutAnswer(t, "close-delimited", wholeMessage))
	if _, got := send(t, p, plainRequest(t)); got.err != nil || got.bytes != wholeMessage {
		t.Errorf("%q, %v", got.bytes, got.err)
	}
}

func TestAnswerOverTheLimit(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		if r.URL.RawQuery == "length" {
			w.Header().Set("Content-Length", fmt.Sprint(upstream.MaxAnswer+1))
			w.(http.Flusher).Flush()
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		member := packed(strings.Repeat(" ", 1<<20)) // gzip files may be joined
		for range upstream.MaxAnswer>>20 + 1 {
			io.WriteString(w, member)
		}
	})
	for _, query := range []string{"length", "bomb"} {
		r := plainRequest(t)
		r.RawQuery = query
		_, got := send(t, p, r)
		if e := wantError(t, got.err, providers.ClassBadResponse); !strings.Contains(e.Error(), "64 MiB") {
			t.Errorf("%s: %v", query, e)
		}
	}
}

func TestNextBehindTheEnd(t *testing.T) {
	for _, p := range []*Provider{serve(t, answers(200, jsonType(), wholeMessage)), serve(t, streamed(fixture(t, "plain")))} {
		for _, stream := range []bool{false, true} {
			s, err := p.Send(t.Context(), newRequest(t, smallBody, "claude-sonnet-4-5", stream))
			if err != nil {
				continue // the other one's kind of answer
			}
			if got := read(s); got.err != nil || got.last().Kind != providers.End {
				t.Fatalf("%+v, %v", got.last(), got.err)
			}
			if _, err := s.Next(); err != io.EOF {
				t.Errorf("Next behind the end: %v, want EOF", err)
			}
			s.Close()
			if _, err := s.Next(); err == nil || err == io.EOF {
				t.Errorf("Next behind Close: %v", err)
			}
		}
	}
}
