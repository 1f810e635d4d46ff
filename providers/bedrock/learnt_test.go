package bedrock

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/providers"
)

const (
	thinking = "interleaved-thinking-2025-05-14"
	contexts = "context-management-2025-06-27"
	million  = "context-1m-2025-08-07"
)

// model takes some betas, and refuses others without saying which, as Bedrock does.
type model struct {
	k     knowledge
	takes []string
}

// ask asks until the model takes it, as the proxy does, and returns the betas that
// it was asked for at last, and how often it refused.
func (m *model) ask(t *testing.T, subject string, betas ...string) (asked []string, refusals int) {
	t.Helper()
	header := http.Header{"Anthropic-Beta": {strings.Join(betas, ",")}}
	for ; ; refusals++ {
		p := m.k.plan(subject, header, []byte(`{}`))
		if !slices.ContainsFunc(p.betas, func(b string) bool { return !slices.Contains(m.takes, b) }) {
			m.k.proven(subject, p)
			return p.betas, refusals
		}
		if !m.k.refused(subject, p, wrapped+"invalid beta flag", time.Now()) || refusals > 3 {
			t.Fatalf("%v is refused, and nothing learnt", p.betas)
		}
	}
}

func (m *model) expect(t *testing.T, when string, refusals int, betas ...string) {
	t.Helper()
	got, n := m.ask(t, "m", thinking, contexts, million)
	if !slices.Equal(got, betas) || n != refusals {
		t.Errorf("%s: asks for %v after %d refusals, want %v after %d", when, got, n, betas, refusals)
	}
}

// A refusal that means any of several betas condemns none: each is tried by itself.
func TestRefusalOfSeveralBetasCondemnsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{takes: []string{thinking, million}}
		m.expect(t, "at first", 1)
		m.expect(t, "soon after", 0)
		time.Sleep(suspectedFor)
		m.expect(t, "the first is tried", 0, thinking)
		m.expect(t, "the second is tried", 1, thinking, million)
		for range 3 {
			m.expect(t, "all is known", 0, thinking, million)
		}
		if got, n := m.ask(t, "another", million); n != 0 || len(got) != 1 {
			t.Errorf("another model is judged by this one: %v", got)
		}
		if got, n := m.ask(t, subject("m", providers.CountTokens), contexts); n != 1 || len(got) != 0 {
			t.Errorf("a count is judged by an answer: %v after %d refusals", got, n)
		}
	})
}

// What a model takes changes: what it took it may refuse, and what it refused it may take.
func TestVerdictsAreNotForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{takes: []string{thinking, contexts, million}}
		m.expect(t, "at first", 0, thinking, contexts, million)
		m.takes = []string{thinking, contexts}
		m.expect(t, "one is gone", 1)
		time.Sleep(suspectedFor)
		m.expect(t, "tried", 0, thinking)
		m.expect(t, "tried", 0, thinking, contexts)
		m.expect(t, "the third is tried", 1, thinking, contexts)
		m.takes = []string{thinking, contexts, million}
		m.expect(t, "it has returned, and nobody knows", 0, thinking, contexts)
		time.Sleep(refusedFor)
		m.expect(t, "the next day", 0, thinking, contexts, million)
	})
}

// Only a refusal of a beta or of a field teaches, and only in AWS's own words.
func TestOtherRefusalsTeachNothing(t *testing.T) {
	for _, message := range []string{
		"prompt is too long", "max_tokens: Field required", "messages: Extra inputs are not permitted",
		`messages.0.content: unexpected text "invalid beta flag"`, "tools.0.name: 'metadata: Extra inputs are not permitted' is no name",
		"The provided model identifier is invalid.", "Too many tokens, please wait before trying again.", "",
	} {
		var k knowledge
		p := k.plan("m", http.Header{"Anthropic-Beta": {thinking}}, []byte(`{}`))
		if k.refused("m", p, wrapped+message, time.Now()) || len(k.models) > 0 {
			t.Errorf("%q has taught something", message)
		}
	}
}

// A stream that begins and is refused proves nothing of what was asked for.
func TestRefusedStreamProvesNothing(t *testing.T) {
	s := serve(t, streams(exception("validationException", `{"message":"`+wrapped+`invalid beta flag"}`)))
	p := s.provider(t)
	r := request(t, `{"model":"claude-sonnet-4-5","max_tokens":1,"messages":[]}`, true)
	r.Header.Set("Anthropic-Beta", thinking)
	if e := wantError(t, send(t, p, r).last.Err, providers.ClassInvalid); !e.Renewed {
		t.Error("another attempt is not offered")
	}
	for subject, l := range p.learnt.models {
		if len(l.proven) > 0 || len(l.refused) != 1 {
			t.Errorf("%s: %+v", subject, l)
		}
	}
}
