package simulator

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"anyproxy/internal/grammar"
)

// hello is 3 deltas of text: 2 events, the block's start, 3 deltas, 3 more events.
var hello = []Block{Text("Hello, world")}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		fault  Fault
		status int
		header string // name: value
		body   string
	}{
		"429":      {RateLimited(17 * time.Second), 429, "Retry-After: 17", `"type":"rate_limit_error"`},
		"429 bare": {RateLimited(0), 429, "Retry-After: ", `"type":"rate_limit_error"`},
		"500":      {ServerError(), 500, "", `"type":"api_error"`},
		"529":      {Overloaded(), 529, "", `"type":"overloaded_error","message":"Overloaded"`},
		"401":      {Unauthorized(), 401, "", `"type":"authentication_error"`},
		"413":      {TooLarge(), 413, "", `"type":"request_too_large"`},
		"400":      {Status(400, "prompt is too long: 9 tokens > 8 maximum"), 400, "Content-Type: application/json", `"message":"prompt is too long: 9 tokens > 8 maximum"`},
		"502 HTML": {HTML(502), 502, "Content-Type: text/html; charset=utf-8", "<title>Bad Gateway</title>"},
		"200 HTML": {HTML(200), 200, "Content-Type: text/html; charset=utf-8", "<title>OK</title>"},
		"empty":    {Empty(), 200, "Content-Length: 0", ""},
		"redirect": {Redirect("http://127.0.0.1:1/"), 307, "Location: http://127.0.0.1:1/", ""},
		"early":    {ErrorAt(BeforeHeaders, 529, "Overloaded"), 529, "", `"type":"overloaded_error"`},
	} {
		t.Run(name, func(t *testing.T) {
			u := begin(t, Always(Answer{Blocks: hello, Faults: []Fault{c.fault}}))
			res, body, err := ask(t, "POST", u.URL()+"/v1/messages", streamed)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || !strings.Contains(string(body), c.body) || c.body == "" && len(body) > 0 {
				t.Errorf("%d %s, want %d with %q", res.StatusCode, body, c.status, c.body)
			}
			if key, value, ok := strings.Cut(c.header, ": "); ok && res.Header.Get(key) != value {
				t.Errorf("%s: %q, want %q", key, res.Header.Get(key), value)
			}
		})
	}
}

func TestFaultsBeforeTheHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		kind FaultKind
		want string
	}{
		"reset":   {Reset, "connection reset by peer"},
		"break":   {Break, "EOF"},
		"cut":     {Cut, "EOF"},
		"garbage": {Garbage, "malformed HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			u := begin(t, Always(Answer{Blocks: hello, Faults: []Fault{{Kind: c.kind}}}))
			if _, _, err := ask(t, "POST", u.URL()+"/v1/messages", streamed); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestFaultsInTheStream(t *testing.T) {
	full := begin(t, Always(Answer{Blocks: hello}))
	_, whole, err := ask(t, "POST", full.URL()+"/v1/messages", streamed)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.SplitAfter(string(whole), "\n\n")
	for name, c := range map[string]struct {
		fault  Fault
		events int    // that come before
		then   string // what comes behind them
		err    error  // at the end of the body
	}{
		"reset at the headers":    {Fault{Kind: Reset, At: Events(0)}, 0, "", syscall.ECONNRESET},
		"reset after 4 events":    {Fault{Kind: Reset, At: Events(4)}, 4, "", syscall.ECONNRESET},
		"break after 2 deltas":    {Fault{Kind: Break, At: Deltas(2)}, 5, "", io.ErrUnexpectedEOF},
		"cut after message_start": {Fault{Kind: Cut, At: Events(1)}, 1, "", nil},
		"cut in an event":         {Fault{Kind: Cut, At: Bytes(len(all[0]) + 9)}, 1, "event: pi", nil},
		"cut before the stop":     {Fault{Kind: Cut, At: Events(8)}, 8, "", nil},
		"garbage":                 {Fault{Kind: Garbage, At: Deltas(1)}, 4, "event: content_block_delta\ndata: {\"type\":\"content_block_\xff\n\n" + strings.Join(all[4:], ""), nil},
		"duplicate start":         {Fault{Kind: DuplicateStart, At: Deltas(1)}, 4, all[0] + strings.Join(all[4:], ""), nil},
		"delta for a closed one":  {Fault{Kind: ClosedDelta}, 7, all[5] + strings.Join(all[7:], ""), nil},
		"error first":             {ErrorAt(Events(0), 529, "Overloaded"), 0, "event: error\n" + `data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}` + "\n\n", nil},
		"error after ping":        {ErrorAt(Events(2), 500, "Oops"), 2, "event: error\n" + `data: {"type":"error","error":{"type":"api_error","message":"Oops"}}` + "\n\n", nil},
		"drip":                    {Fault{Kind: Drip}, 9, "", nil},
		"HTTP/1.0":                {Fault{Kind: HTTP10}, 9, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			u := begin(t, Always(Answer{Blocks: hello, Faults: []Fault{c.fault}}))
			_, body, err := ask(t, "POST", u.URL()+"/v1/messages", streamed)
			if !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			want := strings.Join(all[:c.events], "") + c.then
			if got := fresh.ReplaceAllString(string(body), "ID"); got != fresh.ReplaceAllString(want, "ID") {
				t.Errorf("got\n%s\nwant\n%s", body, want)
			}
		})
	}
}

func TestErrorAfterALonePing(t *testing.T) {
	u := begin(t, Always(Answer{EarlyPing: true, Faults: []Fault{ErrorAt(Events(1), 529, "Overloaded")}}))
	_, body, err := ask(t, "POST", u.URL()+"/v1/messages", streamed)
	if err != nil {
		t.Fatal(err)
	}
	m, err := grammar.Check(body)
	if err != nil || m.End != grammar.Failed || m.Pings != 1 || m.ID != "" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestFaultsOfAWholeAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		fault  Fault
		status int
		err    error
		whole  bool
	}{
		"break":       {Fault{Kind: Break, At: Deltas(1)}, 200, io.ErrUnexpectedEOF, false},
		"reset":       {Fault{Kind: Reset, At: Events(3)}, 200, syscall.ECONNRESET, false},
		"cut":         {Fault{Kind: Cut, At: Bytes(30)}, 200, nil, false},
		"error event": {ErrorAt(Deltas(1), 529, "Overloaded"), 529, nil, false},
		"wrong type":  {Fault{Kind: WrongType}, 200, nil, true},
		"HTTP/1.0":    {Fault{Kind: HTTP10}, 200, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			u := begin(t, Always(Answer{Blocks: hello, Faults: []Fault{c.fault}}))
			res, body, err := ask(t, "POST", u.URL()+"/v1/messages", unstreamed)
			if res == nil || res.StatusCode != c.status || !errors.Is(err, c.err) {
				t.Fatalf("%v, %v; want %d, %v", res, err, c.status, c.err)
			}
			if _, err := grammar.CheckWhole(body); (err == nil) != c.whole || len(body) == 0 {
				t.Errorf("body %q: %v", body, err)
			}
		})
	}
}

func TestShapes(t *testing.T) {
	u := begin(t, Sequence(
		Answer{Blocks: hello, Faults: []Fault{{Kind: Gzip}}},
		Answer{Blocks: hello, Faults: []Fault{{Kind: WrongType}}},
		Answer{Blocks: hello, Faults: []Fault{{Kind: BigHeader}}},
		Answer{Blocks: hello, Faults: []Fault{{Kind: HTTP10}}},
	))
	res, body, err := ask(t, "POST", u.URL()+"/v1/messages", streamed)
	if err != nil || res.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("gzip: %v, %v", res, err)
	}
	zip, err := gzip.NewReader(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := grammar.Check(plain); err != nil {
		t.Error(err)
	}
	if res, _, _ := ask(t, "POST", u.URL()+"/v1/messages", streamed); !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("content type %q", res.Header.Get("Content-Type"))
	}
	if res, _, err := ask(t, "POST", u.URL()+"/v1/messages", streamed); err != nil || len(res.Header.Get("X-Padding")) != 1_500_000 {
		t.Errorf("1.5 MB header: %v", err)
	}
	res, body, err = ask(t, "POST", u.URL()+"/v1/messages", streamed)
	if err != nil || res.ProtoMinor != 0 || !res.Close || res.ContentLength != -1 || res.Header.Get("Request-Id") == "" {
		t.Errorf("HTTP/1.0: %+v, %v", res, err)
	}
	if _, err := grammar.Check(body); err != nil {
		t.Error(err)
	}
}

// A hung answer ends, and its handler with it, when the client leaves.
func TestHangEndsWithTheClient(t *testing.T) {
	for name, at := range map[string]Point{"before headers": BeforeHeaders, "after 4 events": Events(4)} {
		t.Run(name, func(t *testing.T) {
			u := begin(t, Always(Answer{Blocks: hello, Faults: []Fault{{Kind: Hang, At: at}}}))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			read := make(chan error, 1)
			go func() { read <- readEvents(ctx, u.URL(), at.n) }()
			if at == BeforeHeaders {
				waitFor(t, func() bool { return u.Active() == 1 })
				cancel()
			}
			if err := <-read; (err == nil) != (at != BeforeHeaders) {
				t.Errorf("read: %v", err)
			}
			cancel()
			waitFor(t, func() bool { return u.Active() == 0 })
		})
	}
}

// readEvents reads n events and leaves.
func readEvents(ctx context.Context, url string, n int) error {
	r, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/messages", strings.NewReader(streamed))
	if err != nil {
		return err
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for n > 0 {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\n" {
			n--
		}
	}
	return nil
}

// waitFor gives what happens elsewhere a generous time to happen.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}
