package credential

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/config"
)

// tokens is a token endpoint whose refresh tokens are good for one use.
type tokens struct {
	*httptest.Server
	life   time.Duration
	rotate bool
	before func() // the answer

	mu      sync.Mutex
	refresh string // the one that is good
	n       int
	refused int
}

func startTokens(t testing.TB, life time.Duration) *tokens {
	s := &tokens{life: life, rotate: true, refresh: "refresh-000"}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.FormValue("grant_type") != "refresh_token" || r.FormValue("client_id") != "the-client" || r.FormValue("refresh_token") != s.refresh {
		s.refused++
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"%s is not good"}`, r.FormValue("refresh_token"))
		return
	}
	s.n++
	if s.rotate {
		s.refresh = fmt.Sprintf("refresh-%03d", s.n)
	}
	if s.before != nil {
		s.before()
	}
	fmt.Fprintf(w, `{"access_token":"access-%03d","token_type":"Bearer","expires_in":%d,"refresh_token":%q}`, s.n, int(s.life.Seconds()), s.refresh)
}

func (s *tokens) ref(refresh config.SecretRef) config.SecretRef {
	return config.SecretRef{Kind: config.SecretOAuth, OAuth: &config.OAuth{TokenURL: s.URL + "/token", ClientID: "the-client", RefreshToken: refresh}}
}

func inFile(t testing.TB, value string) (config.SecretRef, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "refresh-token")
	if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.SecretRef{Kind: config.SecretFile, Name: path}, path
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// Tokens that live one second, five hundred that want one: one refresh a
// period, and nobody goes without.
func TestTokensExpireUnderLoad(t *testing.T) {
	s := startTokens(t, time.Second)
	ref, path := inFile(t, "refresh-000")
	h := &heard{}
	v := testVault(t, h)
	src, err := v.Resolve(s.ref(ref), "p")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := v.Resolve(s.ref(ref), "q") // another provider, the same login
	const periods = 3
	began := time.Now()
	var failed, got atomic.Int64
	var all sync.WaitGroup
	for i := range 500 {
		all.Go(func() {
			from := src
			if i%2 == 0 {
				from = other
			}
			for time.Since(began) < periods*time.Second {
				value, err := from.Secret(t.Context())
				if err != nil || !h.hides(value.Reveal()) {
					failed.Add(1)
				}
				got.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	// A token is renewed after four fifths of its life, when it is asked for.
	if most := int(took/(800*time.Millisecond)) + 1; failed.Load() > 0 || s.refused > 0 || s.n < 2 || s.n > most {
		t.Errorf("%d of %d requests failed, %d refreshes (at most %d), %d refused", failed.Load(), got.Load(), s.n, most, s.refused)
	}
	if kept := content(t, path); kept != s.refresh {
		t.Errorf("the file has %s, the endpoint wants %s", kept, s.refresh)
	}
}

// A new refresh token is where the old one was before the access token that
// came with it is used.
func TestRefreshTokenIsKeptBeforeUse(t *testing.T) {
	s := startTokens(t, time.Hour)
	ref, path := inFile(t, "refresh-000")
	var atUse string
	v := testVault(t, nil, func(o *Options) {
		hide := o.Hide
		o.Hide = func(values ...string) {
			hide(values...)
			if len(values) == 1 && strings.HasPrefix(values[0], "access-") { // on its way to those who wait
				atUse = content(t, path)
			}
		}
	})
	src, err := v.Resolve(s.ref(ref), "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := src.Secret(t.Context()); err != nil || got.Reveal() != "access-001" {
		t.Fatal(got.Reveal(), err)
	}
	if atUse != "refresh-001" {
		t.Errorf("the file had %q", atUse)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	// A second process, or this one after a crash, goes on from the file.
	again, err := testVault(t, nil).Resolve(s.ref(ref), "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Secret(t.Context()); err != nil || got.Reveal() != "access-002" {
		t.Error(got.Reveal(), err)
	}
	// One that is logged in anew by hand counts at once.
	s.mu.Lock()
	s.refresh = "refresh-by-hand"
	s.mu.Unlock()
	os.WriteFile(path, []byte("refresh-by-hand"), 0o600)
	if !Renew(t.Context(), again, config.NewSecret("access-002")) {
		t.Error("the new login is not seen")
	}
}

func TestRefreshTokenThatCannotBeKept(t *testing.T) {
	s := startTokens(t, time.Hour)
	h := &heard{}
	src, err := testVault(t, h).Resolve(s.ref(config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret("refresh-000")}), "p")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		got, err := src.Secret(t.Context())
		if want := fmt.Sprintf("access-%03d", i+1); err != nil || got.Reveal() != want {
			t.Fatalf("%s, %v, want %s", got.Reveal(), err, want)
		}
		src.(*cached).forced = time.Time{}
		Renew(t.Context(), src, got)
	}
	if texts := h.texts(); len(texts) != 1 || !strings.Contains(texts[0], "keep the token in file: or keyring:") {
		t.Errorf("%q", texts)
	}
}

// What an endpoint says wrongly is told without being quoted, and not asked for
// again and again.
func TestTokenEndpointsThatFail(t *testing.T) {
	const echo = "refresh-of-mine"
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
		pause  time.Duration
	}{
		"invalid grant": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"%s"}`, r.FormValue("refresh_token"))
		}, "invalid_grant", retryMost},
		"an error of its own": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"error":"%s"}`, r.FormValue("refresh_token"))
		}, "answered 400", retryFirst},
		"HTML": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>", r.FormValue("refresh_token")) }, "", retryFirst},
		"500":  {func(w http.ResponseWriter, r *http.Request) { http.Error(w, r.FormValue("refresh_token"), 500) }, "answered 500", retryFirst},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, "redirect (307)", retryMost},
		"no token": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"token_type":"Bearer"}`)
		}, "", retryFirst},
		"cut off": {func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "", retryFirst},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				tt.answer(w, r)
			}))
			defer s.Close()
			now := time.Now()
			h := &heard{}
			src, err := testVault(t, h, func(o *Options) { o.Now = func() time.Time { return now } }).Resolve(config.SecretRef{Kind: config.SecretOAuth,
				OAuth: &config.OAuth{TokenURL: s.URL, ClientID: "c", RefreshToken: config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret(echo)}}}, "p")
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if _, err = src.Secret(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), echo) {
					t.Errorf("%v", err)
				}
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("asked %d times at once", n)
			}
			now = now.Add(tt.pause)
			src.Secret(t.Context())
			if n := asked.Load(); n != 2 {
				t.Errorf("asked %d times after %s", n, tt.pause)
			}
			if n := h.texts(); len(n) != 1 {
				t.Errorf("told %d times: %q", len(n), n)
			}
		})
	}
}

// slow is a fetcher that a test has by the hand.
type slow struct {
	give func(ctx context.Context) (string, time.Duration, error)
	n    atomic.Int64
}

func (s *slow) limit() time.Duration { return refreshTime }
func (s *slow) String() string       { return "slow" }

func (s *slow) fetch(ctx context.Context) (string, time.Duration, time.Duration, error) {
	s.n.Add(1)
	value, life, err := s.give(ctx)
	return value, life, 0, err
}

func TestRenewalAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{}
		v := testVault(t, h)
		var fail error
		hang := false
		f := &slow{}
		f.give = func(ctx context.Context) (string, time.Duration, error) {
			if hang {
				<-ctx.Done()
				return "", 0, ctx.Err()
			}
			return fmt.Sprintf("value-%d", f.n.Load()), time.Hour, fail
		}
		c := v.cached("slow", "p", func() fetcher { return f })
		is := func(want string) {
			t.Helper()
			if got, err := c.Secret(t.Context()); err != nil || got.Reveal() != want {
				t.Errorf("%q, %v, want %s", got.Reveal(), err, want)
			}
		}
		is("value-1")
		time.Sleep(54 * time.Minute)
		is("value-1")
		synctest.Wait()
		if f.n.Load() != 1 {
			t.Error("renewed too early")
		}
		time.Sleep(2 * time.Minute) // 4 minutes before its end, at most 4:30 were to be waited for
		is("value-1")               // nobody waits
		synctest.Wait()
		is("value-2")
		if f.n.Load() != 2 {
			t.Errorf("%d fetches", f.n.Load())
		}

		// An endpoint that hangs costs nobody anything while the old one is good.
		hang = true
		time.Sleep(56 * time.Minute)
		is("value-2")
		is("value-2")
		time.Sleep(refreshTime + time.Second)
		synctest.Wait()
		if texts := h.texts(); len(texts) != 1 || !strings.Contains(texts[0], "no answer within 30s; the old value serves until") {
			t.Errorf("%q", texts)
		}
		synctest.Wait()
		// Then it fails at once, and is left in peace in between.
		hang, fail = false, errors.New("down")
		before := f.n.Load()
		for range 180 {
			is("value-2")
			time.Sleep(time.Second)
		}
		if n := f.n.Load() - before; n < 5 || n > 9 { // after 1, 2, 4, 8, 16, 32 and 60 seconds
			t.Errorf("%d fetches in three minutes", n)
		}
		time.Sleep(5 * time.Minute)
		if _, err := c.Secret(t.Context()); err == nil || !strings.Contains(err.Error(), "down") {
			t.Errorf("after its end: %v", err)
		}
		// Who waits leaves when it wants to.
		synctest.Wait()
		hang, fail = true, nil
		time.Sleep(retryMost)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		at := time.Now()
		if _, err := c.Secret(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(at) != time.Second {
			t.Errorf("%v after %s", err, time.Since(at))
		}
		synctest.Wait()
		hang = false
		time.Sleep(refreshTime + retryMost)
		is(fmt.Sprintf("value-%d", f.n.Load()+1))
	})
}

// A refused value is renewed once for all who were refused, and not again and
// again where the new one is refused too.
func TestRefusedValueIsRenewedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &slow{}
		f.give = func(context.Context) (string, time.Duration, error) {
			n := f.n.Load()
			time.Sleep(time.Second)
			return fmt.Sprintf("value-%d", n), time.Hour, nil
		}
		c := testVault(t, nil).cached("slow", "p", func() fetcher { return f })
		first, err := c.Secret(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		var renewed atomic.Int64
		for range 500 {
			all.Go(func() {
				if Renew(t.Context(), c, first) {
					renewed.Add(1)
				}
			})
		}
		all.Wait()
		if renewed.Load() != 500 || f.n.Load() != 2 {
			t.Errorf("%d of 500 got another, %d fetches", renewed.Load(), f.n.Load())
		}
		second, _ := c.Secret(t.Context())
		if Renew(t.Context(), c, second) {
			t.Error("renewed again at once")
		}
		time.Sleep(forceEvery)
		if !Renew(t.Context(), c, second) || f.n.Load() != 3 {
			t.Errorf("not renewed later, %d fetches", f.n.Load())
		}
	})
}

func BenchmarkSecret(b *testing.B) {
	f := &slow{give: func(context.Context) (string, time.Duration, error) { return "value", time.Hour, nil }}
	c := testVault(b, nil).cached("slow", "p", func() fetcher { return f })
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Secret(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// broken panics the first time that it is asked.
type broken struct{ times int }

func (b *broken) fetch(context.Context) (string, time.Duration, time.Duration, error) {
	if b.times++; b.times == 1 {
		panic("at a loss")
	}
	return "a-value-that-is-fetched", 0, 0, nil
}

func (b *broken) limit() time.Duration { return time.Minute }
func (b *broken) String() string       { return "broken" }

// A panic while a value is fetched is a failure like any other: told, and tried
// again after the pause.
func TestAPanicIsAFailedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		v := NewVault(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer v.Close()
		c := v.cached("it", "a", func() fetcher { return &broken{} })
		if _, err := c.Secret(t.Context()); err == nil || !strings.Contains(err.Error(), "internal error: at a loss") {
			t.Errorf("the first time: %v", err)
		}
		time.Sleep(retryFirst)
		if s, err := c.Secret(t.Context()); err != nil || s.Reveal() != "a-value-that-is-fetched" {
			t.Errorf("the second time: %v", err)
		}
		if !strings.Contains(log.String(), `part=credential panic="at a loss"`) {
			t.Errorf("the log says %s", log.String())
		}
		k := newKeyring("a/b", v.o.Logger)
		if _, err := k.within(t.Context(), func() (string, error) { panic("at a loss") }); err == nil || !strings.Contains(log.String(), "part=keyring") {
			t.Errorf("the keyring: %v: %s", err, log.String())
		}
	})
}
