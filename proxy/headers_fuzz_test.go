package proxy_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"anyproxy/config"
	"anyproxy/internal/redact"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy"
	"anyproxy/proxy/routing"
)

// FuzzHeaders sends a good body with any headers of those that are read: a
// provider answers only who has shown a key, in one of the three places, and
// names that provider or none; else there is an error in the API's shape, which
// quotes no key and nothing that a terminal obeys.
func FuzzHeaders(f *testing.F) {
	const key = "client-key-of-somebody"
	text := "apiKeys: [" + key + "]\n" + strings.NewReplacer("a_URL", "http://127.0.0.1:1", "b_URL", "http://127.0.0.1:2").Replace(two)
	c, _, err := config.Parse("test.yaml", []byte(text), func(string) string { return "" })
	if err != nil {
		f.Fatal(err)
	}
	asked := ""
	answers := func(name string) providers.Provider { return noting{&asked, name} }
	h := proxy.New(proxy.NewRuntime(proxy.Wiring{Config: c, Providers: map[string]providers.Provider{"a": answers("a"), "b": answers("b")}, State: routing.NewState(),
		Routing: proxy.RoutingOptions(c), Keys: []proxy.Key{{Name: "somebody", Value: c.APIKeys[0].Key.Literal}}}),
		proxy.Options{Recorder: metrics.New(time.Now), Redact: redact.New(key), Logger: slog.New(slog.DiscardHandler)})
	f.Add("", key, "", "", "", "")
	f.Add("b", "", "Bearer "+key, "", "s-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("nobody\x1b[31m", "", "", key, "", "")
	f.Add("a", key, "", "wrong", "\u202e", "ff")
	f.Add("A", "", "Basic "+key, "", "", "")
	f.Fuzz(func(t *testing.T, provider, apiKey, authorization, ours, session, trace string) {
		r := httptest.NewRequest("POST", "/v1/messages", strings.NewReader(streamRequest))
		for name, value := range map[string]string{"X-Anyproxy-Provider": provider, "X-Api-Key": apiKey, "Authorization": authorization,
			"X-Anyproxy-Key": ours, "X-Claude-Code-Session-Id": session, "Traceparent": trace} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		asked = ""
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			shown := strings.TrimSpace(ours) == key || ours == "" && (strings.TrimSpace(apiKey) == key || strings.HasSuffix(authorization, key))
			if !shown || asked == "" || provider != "" && provider != asked {
				t.Errorf("%q asked, by %q %q %q", asked, apiKey, authorization, ours)
			}
			return
		}
		var e struct {
			Error struct{ Type, Message string }
		}
		text := w.Body.String()
		if w.Code < 400 || w.Code > 499 || json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error.Type == "" || asked != "" {
			t.Errorf("%d, %q asked: %s", w.Code, asked, text)
		}
		if strings.Contains(text, key) || !utf8.ValidString(text) || strings.ContainsFunc(e.Error.Message, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }) {
			t.Errorf("it is told %q", text)
		}
	})
}

// noting is a provider that answers, and leaves a note that it was asked.
type noting struct {
	asked *string
	name  string
}

func (n noting) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	*n.asked = n.name
	return answering(0).Send(ctx, r)
}
