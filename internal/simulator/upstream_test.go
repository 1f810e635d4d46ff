package simulator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRequestsAreRecorded(t *testing.T) {
	u, err := Start(t.Context(), Options{Script: Always(Answer{}), Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for i := range 3 {
		body := fmt.Sprintf(`{"model":"m%d","max_tokens":1,"messages":[]}`, i)
		if _, _, err := ask(t, "POST", u.URL()+"/v1/messages?beta=true", body); err != nil {
			t.Fatal(err)
		}
	}
	got := u.Requests()
	if len(got) != 2 || got[0].Ask().Model != "m1" || got[1].Ask().Model != "m2" {
		t.Fatalf("kept %d: %+v", len(got), got)
	}
	r := got[1]
	if r.Method != "POST" || r.Path != "/v1/messages" || r.Query != "beta=true" || r.Header.Get("Accept-Encoding") != "identity" ||
		!strings.Contains(string(r.Body), `"m2"`) || r.Time.IsZero() {
		t.Errorf("recorded %+v", r)
	}
}

// Only model requests use up answers.
func TestSequence(t *testing.T) {
	u := begin(t, Sequence(Answer{Faults: []Fault{Overloaded()}}, Answer{}))
	for i, want := range []int{529, 200, 200} {
		if _, _, err := ask(t, "POST", u.URL()+"/v1/messages/count_tokens", streamed); err != nil {
			t.Fatal(err)
		}
		if res, _, err := ask(t, "POST", u.URL()+"/v1/messages", streamed); err != nil || res.StatusCode != want {
			t.Errorf("answer %d: %v, %v; want %d", i, res, err, want)
		}
	}
}

// Close breaks off what is under way, in every way that an answer can go out;
// goleak tells whether anything stays.
func TestCloseEndsEverything(t *testing.T) {
	for name, faults := range map[string][]Fault{
		"stream":         {{Kind: Hang, At: Events(3)}},
		"before headers": {{Kind: Hang}},
		"HTTP/1.0":       {{Kind: HTTP10}, {Kind: Hang, At: Events(3)}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"Close", "context"} {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				u, err := Start(ctx, Options{Script: Always(Answer{Blocks: hello, Faults: faults})})
				if err != nil {
					t.Fatal(err)
				}
				read := make(chan []byte)
				go func() {
					_, body, _ := ask(t, "POST", u.URL()+"/v1/messages", streamed)
					read <- body
				}()
				waitFor(t, func() bool { return u.Active() == 1 })
				if end == "context" {
					cancel()
				} else {
					u.Close()
				}
				if body := <-read; strings.Contains(string(body), "message_stop") {
					t.Errorf("%s: got a whole answer: %s", end, body)
				}
				u.Close()
				if n := u.Active(); n != 0 {
					t.Errorf("%s: %d still active", end, n)
				}
			}
		})
	}
}

// BenchmarkStream is a stream of 200 events, read whole over one connection:
// the floor under every measurement that an Upstream takes part in.
func BenchmarkStream(b *testing.B) {
	u, err := Start(b.Context(), Options{Script: Always(Answer{Blocks: []Block{Text(strings.Repeat("word", 194))}}), Keep: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer u.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	for b.Loop() {
		res, err := client.Post(u.URL()+"/v1/messages", "application/json", strings.NewReader(streamed))
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
	}
}
