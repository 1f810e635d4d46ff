package config

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// commandTTL is how long the value of a command serves where no ttl is given.
const commandTTL = time.Hour

// secret reads where a secret comes from. Nothing of it goes into a message
// but the name of an environment variable.
func (d *decoder) secret(n *yaml.Node, r *SecretRef, key string) bool {
	d.hidden++
	defer func() { d.hidden-- }()
	*r = SecretRef{Pos: posOf(n)}
	switch n.Kind {
	case yaml.MappingNode:
		return d.secretMapping(n, r, key)
	case yaml.SequenceNode:
		return d.pool(n, r, key)
	default:
		text, ok := d.text(n, key)
		return ok && d.secretText(n, r, text, key)
	}
}

// secretText reads the forms that are one text.
func (d *decoder) secretText(n *yaml.Node, r *SecretRef, text, key string) bool {
	if text == "$RANDOM_KEY" {
		r.Kind = SecretRandom
		return d.client || d.fail(n, key, "$RANDOM_KEY is for apiKeys only")
	}
	if name, is := strings.CutPrefix(text, "env."); is {
		r.Kind, r.Name = SecretEnv, name
		_, ok := d.env(n, name, key)
		return ok
	}
	if path, is := strings.CutPrefix(text, "file:"); is {
		r.Kind, r.Name = SecretFile, path
		return strings.TrimSpace(path) != "" || d.fail(n, key, "file: needs a path")
	}
	if name, is := strings.CutPrefix(text, "keyring:"); is {
		r.Kind, r.Name = SecretKeyring, name
		service, user, _ := strings.Cut(name, "/")
		return service != "" && user != "" || d.fail(n, key, "keyring: needs SERVICE/USER")
	}
	if line, is := strings.CutPrefix(text, "cmd:"); is {
		r.Kind, r.TTL = SecretCommand, commandTTL
		words, err := splitWords(line)
		switch r.Command = words; {
		case err != nil:
			return d.fail(n, key, "cmd: %s", err)
		case len(words) == 0 || words[0] == "":
			return d.fail(n, key, "cmd: needs a command")
		default:
			return true
		}
	}
	r.Kind, r.Literal = SecretLiteral, NewSecret(text)
	d.inFile(r.Pos)
	return true
}

// inFile notes that a secret stands in the file itself.
func (d *decoder) inFile(at Pos) {
	if d.literal.Line == 0 || at.Line < d.literal.Line {
		d.literal = at
	}
}

// env reads a variable that must have a usable value.
func (d *decoder) env(n *yaml.Node, name, key string) (string, bool) {
	switch value := d.getenv(name); {
	case name == "":
		return "", d.fail(n, key, "env. needs the name of a variable")
	case !validEnv.MatchString(name):
		return "", d.fail(n, key, "env. is followed by what cannot be the name of a variable")
	case strings.TrimSpace(value) == "":
		return "", d.fail(n, key, "the environment variable %s is not set or empty", name)
	case hasControl(value):
		return "", d.fail(n, key, "the environment variable %s holds a control character (a line break?)", name)
	default:
		return value, true
	}
}

// pool reads a list of the other forms.
func (d *decoder) pool(n *yaml.Node, r *SecretRef, key string) bool {
	if d.client {
		return d.fail(n, key, "a client key is one value, not a list")
	}
	if len(n.Content) == 0 {
		return d.fail(n, key, "an empty list of keys")
	}
	r.Kind, r.Pool = SecretPool, make([]SecretRef, len(n.Content))
	ok := true
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", key, i)
		if item.Kind == yaml.SequenceNode {
			ok = d.fail(item, at, "a list of keys cannot hold a list")
			continue
		}
		ok = d.value(item, reflect.ValueOf(&r.Pool[i]).Elem(), at) && ok
	}
	return ok
}

// secretMapping reads {cmd, ttl}, {keyring} and {oauth}.
func (d *decoder) secretMapping(n *yaml.Node, r *SecretRef, key string) bool {
	var m struct {
		Cmd     []string `yaml:"cmd"`
		TTL     Duration `yaml:"ttl"`
		Keyring *keyring `yaml:"keyring"`
		OAuth   *OAuth   `yaml:"oauth"`
	}
	before := len(d.problems)
	d.structure(n, reflect.ValueOf(&m).Elem(), key, nil)
	cmd, ring, oauth := d.at.given(&m.Cmd), d.at.given(&m.Keyring), d.at.given(&m.OAuth)
	if len(d.problems) > before {
		return false
	}
	switch {
	case cmd && !ring && !oauth:
		r.Kind, r.Command, r.TTL = SecretCommand, m.Cmd, commandTTL
		if len(m.Cmd) == 0 {
			return d.fail(n, key, "cmd needs a program and its arguments")
		}
		if ttl, given := d.at[&m.TTL]; given {
			r.TTL = m.TTL
			return m.TTL > 0 || d.report(ttl, "must be more than 0")
		}
		return true
	case d.at.given(&m.TTL):
		return d.fail(n, key, "ttl belongs to cmd")
	case ring && !cmd && !oauth:
		r.Kind, r.Name = SecretKeyring, m.Keyring.Service+"/"+m.Keyring.User
		return m.Keyring.complete() || d.fail(n, key, "keyring needs a service without / and a user")
	case oauth && !cmd && !ring:
		r.Kind, r.OAuth = SecretOAuth, m.OAuth
		return d.oauth(n, m.OAuth, key)
	}
	return d.fail(n, key, "must be one of cmd, keyring and oauth")
}

type keyring struct {
	Service string `yaml:"service"`
	User    string `yaml:"user"`
}

func (k keyring) complete() bool {
	return k.Service != "" && k.User != "" && !strings.Contains(k.Service, "/")
}

func (d *decoder) oauth(n *yaml.Node, o *OAuth, key string) bool {
	if d.client {
		return d.fail(n, key, "a client key cannot be an oauth token")
	}
	if o.TokenURL == "" || o.ClientID == "" || o.RefreshToken.Kind == SecretNone {
		return d.fail(n, key, "oauth needs tokenUrl, clientId and refreshToken")
	}
	if k := o.RefreshToken.Kind; k == SecretOAuth || k == SecretPool {
		return d.fail(n, key, "a refreshToken is one value")
	}
	u, problem := parseEndpoint(o.TokenURL)
	if problem == "" && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		problem = "must be https outside loopback"
	}
	return problem == "" || d.report(d.at[&o.TokenURL], "%s", problem)
}

// report adds a problem at a place.
func (d *decoder) report(at place, format string, args ...any) bool {
	d.problems.add(at.Pos, at.key, format, args...)
	return false
}

// ownHeaders are set by the proxy from the request that it builds.
var ownHeaders = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true,
	"Keep-Alive": true, "Te": true, "Trailer": true, "Upgrade": true, "Accept-Encoding": true,
}

// headers reads names and values. A problem names neither: a slip in the YAML
// can make a name of a value.
func (d *decoder) headers(n *yaml.Node, to *map[string]Secret, key string) bool {
	if isNull(n) {
		return true
	}
	d.hidden++
	defer func() { d.hidden-- }()
	if n.Kind != yaml.MappingNode {
		return d.wrong(n, key, "a mapping of header names to values")
	}
	before := len(d.problems)
	*to = make(map[string]Secret, len(n.Content)/2)
	lines := map[string]int{}
	for k, val := range d.pairs(n, key) {
		name := http.CanonicalHeaderKey(k.Value)
		switch line, twice := lines[name]; {
		case !isToken(k.Value):
			d.fail(k, key, "a header's name holds a character that HTTP does not allow there")
		case ownHeaders[name]:
			d.fail(k, key, "%s is set by the proxy itself", name)
		case twice:
			d.fail(k, key, "a header given twice, first in line %d", line)
		}
		lines[name] = k.Line
		if text, ok := d.headerValue(val, key); ok {
			(*to)[k.Value] = NewSecret(text)
		}
	}
	return len(d.problems) == before
}

func (d *decoder) headerValue(n *yaml.Node, key string) (string, bool) {
	if !d.plain(n, key) {
		return "", false
	}
	text, ok := d.text(n, key)
	if name, isEnv := strings.CutPrefix(text, "env."); ok && isEnv {
		return d.env(n, name, key)
	}
	d.inFile(posOf(n))
	return text, ok
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}
