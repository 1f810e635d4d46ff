package config

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// expiresSoon is how long before its end a key is warned about.
const expiresSoon = 3 * 24 * time.Hour

var placeholder = regexp.MustCompile(`(?i)\.\.\.|…|^<.*>$|^(x{4,}|your[-_ ].*|.*[-_ ]here|change[-_ ]?me|todo|replace[-_ ].*)$`)

// foreignKey is how keys of OpenAI, OpenRouter, Groq, xAI and Google begin.
var foreignKey = regexp.MustCompile(`^(sk-proj-|sk-svcacct-|sk-or-|gsk_|xai-|AIza)`)

// CheckKey looks at the value of a provider's key. problem is what no provider
// would take, warning what this one will hardly; "" is nothing. Both go on behind
// the name of where the value is from, and neither says anything of it. A key that
// carries its end is held against now.
func CheckKey(value string, p *Provider, now time.Time) (problem, warning string) {
	lower := strings.ToLower(value)
	switch {
	case strings.HasPrefix(lower, "bearer "):
		return `begins with "Bearer ", which is added where it belongs; give the key alone`, ""
	case strings.TrimSpace(value) != value || strings.ContainsAny(value, " \t"):
		return "holds blanks, which no key does", ""
	case len(value) > 1 && strings.ContainsAny(value[:1], `"'`) && value[0] == value[len(value)-1]:
		return "stands between quotes that are part of it", ""
	case hasControl(value):
		return "holds a control character (a line break?)", ""
	}
	anthropicKey := strings.HasPrefix(value, "sk-ant-")
	switch {
	case placeholder.MatchString(value):
		warning = "looks like a placeholder for a key"
	case anthropicKey && p.Type == OpenAI:
		warning = "is a key of Anthropic's, and the provider is none of theirs"
	case p.Type == Anthropic && strings.HasSuffix(hostOf(p.Endpoint), ".anthropic.com") && foreignKey.MatchString(value):
		warning = "is another provider's key: Anthropic's begin with sk-ant-"
	default:
		warning = endOf(value, now)
	}
	return "", warning
}

func hostOf(endpoint string) string {
	u, problem := parseEndpoint(endpoint)
	if problem != "" {
		return ""
	}
	return u.Hostname()
}

// endOf warns of a JSON Web Token that has expired or will soon (RFC 7519,
// section 4.1.4).
func endOf(value string, now time.Time) string {
	parts := strings.Split(value, ".")
	if len(parts) != 3 || !strings.HasPrefix(value, "eyJ") {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c struct {
		Exp float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(claims, &c) != nil || c.Exp <= 0 || c.Exp > 1e12 {
		return ""
	}
	end := time.Unix(int64(c.Exp), 0)
	switch left := end.Sub(now); {
	case left <= 0:
		return fmt.Sprintf("is a token that has expired on %s", end.Local().Format(time.DateTime))
	case left < expiresSoon:
		return fmt.Sprintf("is a token that expires on %s", end.Local().Format(time.DateTime))
	default:
		return ""
	}
}
