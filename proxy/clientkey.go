package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/proxy/routing"
)

// Key is a client key with its value resolved.
type Key struct {
	Name   string
	Value  config.Secret
	Models []string // patterns of the models it may ask for; none = all
	// DailyBudget in dollars; 0 = no limit.
	DailyBudget float64
}

// clientKeys are all that are configured. A request takes them once: by others
// its client's key could be taken for a credential of the client's own.
type clientKeys []clientKey

type clientKey struct {
	name        string
	sum         [sha256.Size]byte
	models      []string
	dailyBudget float64
}

func newClientKeys(keys []Key) *clientKeys {
	all := make(clientKeys, 0, len(keys))
	for _, k := range keys {
		all = append(all, clientKey{name: k.Name, sum: sha256.Sum256([]byte(k.Value.Reveal())), models: k.Models, dailyBudget: k.DailyBudget})
	}
	return &all
}

// SetKey gives a client key another value, from the next request on. One that is
// not configured stays so. Its calls must not overlap.
func (rt *Runtime) SetKey(name string, value config.Secret) {
	all := slices.Clone(*rt.keys.Load())
	for i := range all {
		if all[i].name == name {
			all[i].sum = sha256.Sum256([]byte(value.Reveal()))
		}
	}
	rt.keys.Store(&all)
}

// credentials are what a request presents in the two headers that the
// Anthropic API reads a key from, and in one of our own, for clients whose own
// credential stands in those. Never from the query or a cookie.
type credentials struct{ ours, apiKey, authorization string }

func credentialsOf(h http.Header) credentials {
	return credentials{h.Get("X-Anyproxy-Key"), h.Get("X-Api-Key"), h.Get("Authorization")}
}

// bearer is the token of an Authorization header, "" when it has none.
func bearer(authorization string) string {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// identify finds the client key that one of the credentials is. Without any
// configured key everybody is let in, as nil. Every key is compared, in
// constant time, so that the time taken says nothing.
func (all clientKeys) identify(c credentials) (key *clientKey, ok bool) {
	if len(all) == 0 {
		return nil, true
	}
	if c.ours != "" { // it says that it is for us: nothing else is
		key = all.find(c.ours)
		return key, key != nil
	}
	for _, presented := range []string{c.apiKey, bearer(c.authorization)} {
		if k := all.find(presented); k != nil {
			return k, true
		}
	}
	return nil, false
}

func (all clientKeys) find(presented string) *clientKey {
	sum := sha256.Sum256([]byte(presented))
	var found *clientKey
	for i := range all {
		if subtle.ConstantTimeCompare(sum[:], all[i].sum[:]) == 1 && presented != "" {
			found = &all[i]
		}
	}
	return found
}

// own returns the credentials that are the client's own, for providers that
// pass them through: those that are not one of our keys.
func (all clientKeys) own(c credentials) providers.ClientAuth {
	if len(all) > 0 {
		if all.find(c.apiKey) != nil {
			c.apiKey = ""
		}
		if token := bearer(c.authorization); token == "" || all.find(token) != nil {
			c.authorization = "" // also a key of ours that was sent without its scheme
		}
	}
	return providers.ClientAuth{APIKey: c.apiKey, Authorization: c.authorization}
}

// allows reports whether the key may ask for model; nil is everybody.
func (k *clientKey) allows(model string) bool {
	if k == nil || len(k.models) == 0 {
		return true
	}
	for _, pattern := range k.models {
		if routing.Match(pattern, model) {
			return true
		}
	}
	return false
}
