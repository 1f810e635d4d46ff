package proxy_test

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventsPassAsTheyCome(t *testing.T) {
	next := make(chan string)
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		sendSSE(w)
		for e := range next {
			sendSSE(w, e)
		}
	})
	p := newHarness(t, one, map[string]*upstream{"a": a})
	go func() { // headers come with the first content
		for _, e := range sseText[:4] {
			next <- e
		}
	}()
	res, err := http.Post(p.URL+"/v1/messages", "application/json", strings.NewReader(streamRequest))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	for _, want := range sseText[:4] {
		if got, err := readEvent(r); got != want || err != nil {
			t.Fatalf("got %q, want %q, %v", got, want, err)
		}
	}
	for _, want := range sseText[4:] { // one by one: none may wait for the next
		next <- want
		if got, err := readEvent(r); got != want || err != nil {
			t.Fatalf("got %q, want %q, %v", got, want, err)
		}
	}
	close(next)
}

func TestBytesPassUnchangedHoweverTheyCome(t *testing.T) {
	odd := ": a comment\r\n\r\n" + strings.ReplaceAll(strings.Join(sseText[:2], ""), "\n", "\r\n") +
		"event: something_new\ndata: {\"type\":\"something_new\",\"é\":1e400}\n\n" + strings.Join(sseText[2:], "")
	for name, chunk := range map[string]int{"whole": 1 << 20, "byte by byte": 1, "in threes": 3, "in hundreds": 100} {
		t.Run(name, func(t *testing.T) {
			a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for rest := "\ufeff" + odd; rest != ""; { // a byte order mark would stand in mid-stream behind events of ours
					n := min(chunk, len(rest))
					fmt.Fprint(w, rest[:n])
					w.(http.Flusher).Flush()
					rest = rest[n:]
				}
			})
			p := newHarness(t, one, map[string]*upstream{"a": a})
			if got := p.ask(t); got.body != odd || got.err != nil {
				t.Errorf("got %q, %v", got.body, got.err)
			}
			rec := p.snapshot(t).Requests[0]
			if rec.Tokens.Input != 12 || rec.Tokens.CacheRead != 5 || rec.Tokens.Output != 27 || rec.Tokens.Estimated {
				t.Errorf("tokens %+v", rec.Tokens)
			}
		})
	}
}

func TestHeadersOfTheAnswer(t *testing.T) {
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Anthropic-Ratelimit-Requests-Remaining", "42")
		w.Header().Set("Anthropic-Something-New", "yes")
		w.Header().Set("Set-Cookie", "session=1")
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		for _, name := range []string{"X-Anyproxy-Request-Id", "X-Anyproxy-Fallback-Exhausted", "X-Anyproxy-Degraded", "Access-Control-Allow-Origin", "Alt-Svc"} {
			w.Header().Set(name, "the upstream's")
		}
		healthy(w, r)
	})
	p := newHarness(t, one, map[string]*upstream{"a": a})
	got := p.ask(t)
	for header, want := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Request-Id": "req_upstream",
		"Anthropic-Ratelimit-Requests-Remaining": "42", "Anthropic-Something-New": "yes",
		"Set-Cookie": "", "X-Hop": "", "X-Anyproxy-Fallback-Exhausted": "", "X-Anyproxy-Degraded": "", "Access-Control-Allow-Origin": "", "Alt-Svc": "", "X-Anyproxy-Provider": "a", "X-Anyproxy-Model": "claude-x", "X-Anyproxy-Attempts": "1",
	} {
		if v := got.header.Get(header); v != want {
			t.Errorf("%s = %q, want %q", header, v, want)
		}
	}
	if id := got.header.Get("X-Anyproxy-Request-Id"); !strings.HasPrefix(id, "req_") || id != p.snapshot(t).Requests[0].ID {
		t.Errorf("request id %q", id)
	}
}

func TestModelIsRenamedInPlace(t *testing.T) {
	a := newUpstream(t, healthy)
	p := newHarness(t, strings.Replace(one, `{alias: "claude-*"`, `{name: "glm-4.6 \"new\" é", alias: "claude-*"`, 1), map[string]*upstream{"a": a})
	body := `{ "x" : {"model":"claude-x"}, "messages":[{"role":"user","content":"\"model\":\"claude-x\" é \ud83d\ude00"}],` + "\n" +
		`"n":12345678901234567890.0e1, "mod\u0065l" :  "claude\u002dx"  ,"stream":true,"max_tokens":9 } `
	got := p.do(t, "POST", "/v1/messages?beta=true&x=%2F", body)
	if got.status != 200 {
		t.Fatalf("got %+v", got)
	}
	want := strings.Replace(body, `"claude\u002dx"`, `"glm-4.6 \"new\" é"`, 1)
	u := a.requests()[0]
	if u.body != want {
		t.Errorf("upstream got\n%s\nwant\n%s", u.body, want)
	}
	if u.URL.RawQuery != "beta=true&x=%2F" || u.ContentLength != int64(len(want)) {
		t.Errorf("query %q, length %d", u.URL.RawQuery, u.ContentLength)
	}
}

func TestHiddenThinkingCommitsLate(t *testing.T) {
	// A thinking block that shows nothing is no content: its failure is healed.
	thinking := []string{sseText[0],
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"\"}}\n\n"}
	p := newHarness(t, two, map[string]*upstream{"a": newUpstream(t, cut(thinking...)), "b": newUpstream(t, healthy)})
	if got := p.ask(t); got.body != whole {
		t.Errorf("got %q", got.body)
	}
}

func TestLongPreambleIsPassedOn(t *testing.T) {
	ping := "event: ping\ndata: {\"type\": \"ping\", \"padding\": \"" + strings.Repeat("x", 1000) + "\"}\n\n"
	events := append([]string{sseText[0]}, strings.Split(strings.Repeat(ping+"\x00", 70), "\x00")...)
	release := make(chan struct{})
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		sendSSE(w, events...)
		select {
		case <-release:
		case <-r.Context().Done():
		}
		sendSSE(w, sseText[2:]...)
	})
	p := newHarness(t, one, map[string]*upstream{"a": a})
	res, err := http.Post(p.URL+"/v1/messages", "application/json", strings.NewReader(streamRequest))
	if err != nil {
		t.Fatal(err) // without a bound the headers would never come
	}
	defer res.Body.Close()
	close(release)
	got := bufio.NewReader(res.Body)
	for {
		e, err := readEvent(got)
		if err != nil {
			t.Fatalf("no end: %v", err)
		}
		if strings.HasPrefix(e, "event: message_stop") {
			return
		}
	}
}

func TestSlowStreamOutlivesTheIdleLimit(t *testing.T) {
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		for _, e := range sseText {
			for _, half := range []string{e[:len(e)/2], e[len(e)/2:]} { // bytes are life, whole events are not needed
				time.Sleep(60 * time.Millisecond)
				sendSSE(w, half)
			}
		}
	})
	p := newHarness(t, strings.Replace(one, "apiKey: upstream-secret}", "apiKey: upstream-secret, timeouts: {idle: 500ms}}", 1), map[string]*upstream{"a": a})
	if got := p.ask(t); got.body != whole {
		t.Errorf("got %q", got.body)
	}
}

func BenchmarkRelay200Events(b *testing.B) {
	var stream strings.Builder
	stream.WriteString(sseText[0] + sseText[2])
	for range 200 {
		stream.WriteString(sseText[4])
	}
	stream.WriteString(strings.Join(sseText[5:], ""))
	events := strings.SplitAfter(stream.String(), "\n\n")
	a := newUpstream(b, func(w http.ResponseWriter, r *http.Request) { sendSSE(w, events...) })
	p := newHarness(b, one, map[string]*upstream{"a": a})
	buf := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		res, err := http.Post(p.URL+"/v1/messages", "application/json", strings.NewReader(streamRequest))
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			m, err := res.Body.Read(buf)
			n += m
			if err != nil {
				break
			}
		}
		_ = res.Body.Close()
		if n != stream.Len() {
			b.Fatalf("%d bytes, want %d", n, stream.Len())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200, "ns/event")
}

// The meters are told of a fast stream less often than events come. Of what they
// have not been told when it breaks off, nothing is lost.
func TestWhatComesFastIsCountedWhole(t *testing.T) {
	const deltas, text = 57, "twenty bytes of text"
	events := slices.Concat(sseText[:1], sseText[2:3])
	for range deltas {
		events = append(events, `event: content_block_delta`+"\n"+`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"`+text+"\"}}\n\n")
	}
	p := newHarness(t, one, map[string]*upstream{"a": newUpstream(t, cut(events...))})
	p.ask(t)
	const bytesPerToken = 4 // before anything is known of the model
	rec := p.snapshot(t).Requests[0]
	if want := int64(deltas * len(text) / bytesPerToken); rec.Tokens.Output != want || !rec.Tokens.Estimated {
		t.Errorf("tokens %+v, want %d", rec.Tokens, want)
	}
}
