package bedrock

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"anyproxy/providers"
)

const (
	// refusedFor is how long what a model has refused is left out: what it takes
	// changes with its releases, and to ask again costs one refusal.
	refusedFor = 24 * time.Hour
	// suspectedFor is how long the betas are left out of which a refusal may mean
	// any. Then they are tried, one in a request.
	suspectedFor = time.Minute
	// maxModels bounds knowledge: names of models may be the clients'.
	maxModels = 256
)

// knowledge is what the models of one account, in its region and at its address,
// have taught about themselves. It is forgotten with the provider, which a changed
// configuration makes anew.
type knowledge struct {
	mu     sync.Mutex
	models map[string]*lessons // guarded by mu, and all in it
}

// lessons of one model: of betas by Bedrock's names, of fields by their paths.
type lessons struct {
	proven   map[string]bool // it has answered where they were asked for
	refused  map[string]time.Time
	suspects map[string]time.Time // each may be what was refused, and was left out from then on
}

// A verdict says whether a beta or field is left out.
type verdict int

const (
	in        verdict = iota
	suspected         // it can be tried
	out
)

// subject is what lessons are of: a model, asked for an answer or for a count. Not
// all betas are for both.
func subject(model string, endpoint providers.Endpoint) string {
	if endpoint == providers.CountTokens {
		return "count " + model
	}
	return model
}

// ofLocked gives the lessons of a model.
func (k *knowledge) ofLocked(model string) *lessons {
	l := k.models[model]
	if l == nil {
		if k.models == nil || len(k.models) >= maxModels {
			k.models = map[string]*lessons{}
		}
		l = &lessons{proven: map[string]bool{}, refused: map[string]time.Time{}, suspects: map[string]time.Time{}}
		k.models[model] = l
	}
	return l
}

// leftOut gives the verdicts on what a model has refused.
func (k *knowledge) leftOut(model string, now time.Time) map[string]verdict {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.models[model]
	if l == nil || len(l.refused)+len(l.suspects) == 0 { // a name that a client made up takes no room
		return nil
	}
	verdicts := map[string]verdict{}
	for beta, at := range l.suspects {
		if verdicts[beta] = suspected; now.Sub(at) < suspectedFor {
			verdicts[beta] = out
		}
	}
	for name, at := range l.refused {
		if now.Sub(at) < refusedFor {
			verdicts[name] = out
		}
	}
	return verdicts
}

// proven learns from an answer: the model takes what it was asked for, today.
func (k *knowledge) proven(model string, p plan) {
	if len(p.betas) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.ofLocked(model)
	for _, beta := range p.betas {
		l.proven[beta] = true
		delete(l.suspects, beta)
		delete(l.refused, beta)
	}
}

// extraInputs is how the API names a field that it does not know.
var extraInputs = regexp.MustCompile(`([A-Za-z0-9_.-]+): Extra inputs are not permitted`)

// refused learns from a refusal what to leave out from now on. It reports
// whether that makes another request of this one.
func (k *knowledge) refused(model string, p plan, message string, now time.Time) bool {
	var fields []string
	for _, m := range extraInputs.FindAllStringSubmatch(ownWords(message), -1) {
		if field := optionalField(m[1]); field != "" && !slices.Contains(p.cut, field) {
			fields = append(fields, field)
		}
	}
	flagged := strings.Contains(strings.ToLower(ownWords(message)), "invalid beta flag") && len(p.betas) > 0
	if len(fields) == 0 && !flagged {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.ofLocked(model)
	for _, field := range fields {
		l.refused[field] = now
	}
	if flagged {
		l.blame(p.betas, message, now)
	}
	return true
}

// ownWords are those of a message before the first that it quotes: a prompt may
// say anything.
func ownWords(message string) string {
	if i := strings.IndexAny(message, "\"'`{"); i >= 0 {
		return message[:i]
	}
	return message
}

// blame leaves out the betas that a refusal names, or the only one that the model
// has not taken before. Where there are several of these, or none, it may mean
// any of them: they are suspects, and none of them is condemned.
func (l *lessons) blame(betas []string, message string, now time.Time) {
	var named, unproven []string
	for _, beta := range betas {
		if strings.Contains(message, beta) {
			named = append(named, beta)
		}
		if !l.proven[beta] {
			unproven = append(unproven, beta)
		}
	}
	switch {
	case len(named) > 0:
		l.condemn(named, now)
	case len(unproven) == 1:
		l.condemn(unproven, now)
	case len(betas) == 1:
		l.condemn(betas, now)
	case len(unproven) > 0:
		l.suspect(unproven, now)
	default: // what was good once is so no longer
		l.suspect(betas, now)
	}
}

func (l *lessons) condemn(betas []string, now time.Time) {
	for _, beta := range betas {
		l.refused[beta] = now
		delete(l.proven, beta)
		delete(l.suspects, beta)
	}
}

func (l *lessons) suspect(betas []string, now time.Time) {
	for _, beta := range betas {
		l.suspects[beta] = now
		delete(l.proven, beta)
	}
}
