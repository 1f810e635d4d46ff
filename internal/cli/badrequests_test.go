package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

// badRequest is a request that must be refused before any upstream is asked.
type badRequest struct {
	name string
	head string // request line and headers, up to the blank line
	body string
	want int // status
	// endless sends body again and again until the answer has come.
	endless bool
	// cut closes the sending side behind the body.
	cut bool
	// bare is a refusal by net/http, before any handler runs: only the status
	// line counts.
	bare bool
}

// The credentials of the table. None of them may be seen in an answer or a log.
const (
	fullKey    = "client-key-for-everything"
	haikuKey   = "client-key-for-haiku-only"
	wrongKey   = "sk-ant-api03-not-one-of-the-client-keys"
	upstreamOf = "upstream-key-of-"
)

const (
	messagesPath = "/v1/messages"
	countPath    = "/v1/messages/count_tokens"
)

// soundBody is a good request; its rows are made bad one at a time.
const soundBody = `{"model":"claude-sonnet-4-5","max_tokens":10,"stream":true,"metadata":{"user_id":"u"},"messages":[{"role":"user","content":"hi"}]}`

// head makes a request line and headers; a header "Host: …" or "x-api-key: …"
// among them takes the place of the sound one.
func head(method, target string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	for name, value := range map[string]string{"Host": "localhost", "x-api-key": fullKey} {
		if !strings.Contains("\n"+strings.Join(headers, "\n"), "\n"+name+":") {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String() + "\r\n"
}

// posted is a request with a body of known length.
func posted(name, path, body string, want int, headers ...string) badRequest {
	headers = append(headers, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	return badRequest{name: name, head: head("POST", path, headers...), body: body, want: want}
}

// badJSON is everything that is no Messages request.
func badJSON() map[string]string {
	replace := func(old, by string) string { return strings.Replace(soundBody, old, by, 1) }
	rows := map[string]string{
		"empty":                      "",
		"white space":                " \r\n\t ",
		"a byte order mark":          "\ufeff" + soundBody,
		"UTF-16":                     "\xff\xfe{\x00}\x00",
		"a zero byte":                "\x00",
		"a zero byte behind":         soundBody + "\x00",
		"an array":                   "[" + soundBody + "]",
		"an empty array":             "[]",
		"a string":                   `"claude-sonnet-4-5"`,
		"a number":                   "42",
		"null":                       "null",
		"true":                       "true",
		"NaN":                        "NaN",
		"an empty object":            "{}",
		"two objects":                soundBody + soundBody,
		"text behind":                soundBody + "x",
		"a form":                     "model=claude-sonnet-4-5&stream=true",
		"XML":                        "<?xml version=\"1.0\"?><model>claude-sonnet-4-5</model>",
		"NaN inside":                 replace("10", "NaN"),
		"Infinity inside":            replace("10", "Infinity"),
		"-Infinity inside":           replace("10", "-Infinity"),
		"a hexadecimal number":       replace("10", "0x10"),
		"a leading zero":             replace("10", "010"),
		"a leading plus":             replace("10", "+10"),
		"a bare point":               replace("10", "10."),
		"a bare exponent":            replace("10", "1e"),
		"a bare minus":               replace("10", "-"),
		"a line comment":             replace(",", ",// note\n"),
		"a block comment":            replace(",", ",/* note */"),
		"a hash comment":             replace(",", ",# note\n"),
		"a trailing comma":           replace("}]}", "}],}"),
		"a trailing comma in a list": replace("}]", "},]"),
		"a leading comma":            replace("{", "{,"),
		"two commas":                 replace(",", ",,"),
		"no colon":                   replace(":", " "),
		"no comma":                   replace(",", " "),
		"a bare key":                 replace(`"model"`, "model"),
		"single quotes":              strings.ReplaceAll(soundBody, `"`, "'"),
		"a number as key":            replace(`"model"`, "1"),
		"True":                       replace("true", "True"),
		"a word cut short":           replace("true", "tru"),
		"undefined":                  replace("true", "undefined"),
		"brackets that cross":        replace("}]}", "]}}"),
		"a raw newline in a string":  replace("hi", "h\ni"),
		"a raw tab in a string":      replace("hi", "h\ti"),
		"a raw zero in a string":     replace("hi", "h\x00i"),
		"a raw escape in a string":   replace("hi", "h\x1b[31mi"),
		"an unknown escape":          replace("hi", `h\xi`),
		"a short code point":         replace("hi", `\u12`),
		"no code point":              replace("hi", `\u00zz`),
		"half a lone surrogate":      replace("hi", `\ud8`),
		"an invalid byte as value":   replace("true", "\xff"),
		"an invalid byte as key":     replace(`"model"`, "\xff"),
		"arrays nested 1 too deep":   nested("[", "]", 512),
		"arrays nested a million":    nested("[", "]", 1_000_000),
		"objects nested too deep":    nested(`{"a":`, "}", 100_000),
		"open arrays only":           `{"model":` + strings.Repeat("[", 1_000_000),
		"open objects only":          strings.Repeat(`{"a":`, 1_000_000),
		"10,001 blocks":              replace(`"hi"`, "["+strings.Repeat(`{"type":"text","text":"x"},`, 10_000)+`{"type":"text","text":"x"}]`),
		"10,001 blocks in messages": replace(`{"role":"user","content":"hi"}`,
			strings.Repeat(`{"role":"user","content":[{"type":"text","text":"x"}]},`, 10_000)+`{"role":"user","content":[{"type":"text","text":"x"}]}`),

		"no model":                   replace(`"model":"claude-sonnet-4-5",`, ""),
		"a blank model":              replace("claude-sonnet-4-5", " \t"[:1]),
		"an empty model":             replace("claude-sonnet-4-5", ""),
		"a model of escaped blanks":  replace("claude-sonnet-4-5", `\t\n\u0020`),
		"two streams":                replace("true", `true,"stream":true`),
		"a second, escaped stream":   replace("true", `true,"\u0073tream":false`),
		"the model in another case":  replace(`"model"`, `"Model"`),
		"the model deeper down":      replace(`"model":"claude-sonnet-4-5"`, `"x":{"model":"claude-sonnet-4-5"}`),
		"two models":                 replace("{", `{"model":"claude-haiku-4-5",`),
		"two equal models":           replace("{", `{"model":"claude-sonnet-4-5",`),
		"a second, escaped model":    replace("{", `{"mod\u0065l":"claude-haiku-4-5",`),
		"a second model that is nil": replace("{", `{"model":null,`),
		"a second in another case":   replace("{", `{"mOdEl":5,`),
	}
	for kind, value := range map[string]string{
		"null": "null", "true": "true", "false": "false", "a number": "7", "a huge number": "1e999999",
		"an object": `{"name":"claude-sonnet-4-5"}`, "a list": `["claude-sonnet-4-5"]`,
	} {
		rows["model is "+kind] = replace(`"claude-sonnet-4-5"`, value)
	}
	for kind, value := range map[string]string{
		"a string": `"true"`, "0": "0", "1": "1", "a huge number": "1e999999", "an object": "{}", "a list": "[true]", "empty": `""`,
	} {
		rows["stream is "+kind] = replace("true", value)
	}
	for n := 1; n < len(soundBody); n++ {
		rows[fmt.Sprintf("cut behind byte %d", n)] = soundBody[:n]
	}
	return rows
}

// nested is a member of an otherwise good request, n levels deep.
func nested(open, shut string, n int) string {
	return strings.Replace(soundBody, "{", `{"x":`+strings.Repeat(open, n)+"1"+strings.Repeat(shut, n)+",", 1)
}

// unknownModels are JSON strings of names that no provider serves.
var unknownModels = map[string]string{
	"plain":                   "gpt-4o",
	"in capitals":             "CLAUDE-SONNET-4-5",
	"a pattern":               "*",
	"with bidi":               `abc\u202efed\u2066`,
	"with a lone surrogate":   `\ud800`,
	"with swapped surrogates": `\udc00\ud800`,
	"with raw bytes":          "\xff\xfe\x80",
	"with HTML":               `<script>alert(1)</script>`,
	"as a path":               `../../../../etc/passwd`,
	"as a template":           `%s%n%x{{.}}${jndi:ldap://x}`,
	"ending in half a letter": strings.Repeat("é", 49) + "xé",
}

// unfitModels are JSON strings of names that no header can carry and no screen
// should show, also where an alias covers them.
var unfitModels = map[string]string{
	"with zero":       `claude-\u0000`,
	"with colours":    `claude-\u001b[31mred\u001b[0m`,
	"with lines":      `claude-x\r\nX-Injected: yes\r\n\r\n<html>`,
	"with a tab":      `claude-\tx`,
	"with DEL":        `claude-\u007f`,
	"with raw DEL":    "claude-\x7f",
	"with C1":         `claude-\u009b31m`,
	"with raw C1":     "claude-\u009b31m",
	"257 bytes long":  "claude-" + strings.Repeat("m", 250),
	"a megabyte long": "claude-" + strings.Repeat("m", 1<<20),
}

// badRequests is the table; address is the program's own.
func badRequests(address string) []badRequest {
	var rows []badRequest
	add := func(more ...badRequest) { rows = append(rows, more...) }
	for name, body := range badJSON() {
		add(posted("JSON, "+name, messagesPath, body, 400), posted("JSON to count_tokens, "+name, countPath, body, 400))
	}
	for name, model := range unknownModels {
		body := strings.Replace(soundBody, "claude-sonnet-4-5", model, 1)
		add(posted("unknown model "+name, messagesPath, body, 404), posted("unknown model to count_tokens "+name, countPath, body, 404))
	}
	for name, model := range unfitModels {
		body := strings.Replace(soundBody, "claude-sonnet-4-5", model, 1)
		add(posted("unfit model "+name, messagesPath, body, 400), posted("unfit model to count_tokens "+name, countPath, body, 400))
	}
	add(badMethods()...)
	add(badPaths()...)
	add(badCredentials()...)
	add(badOrigins(address)...)
	add(badHeaders()...)
	add(badLengths()...)
	add(badChunks()...)
	add(badHTTP()...)
	return rows
}

func badMethods() (rows []badRequest) {
	allowed := map[string]string{
		"/": "GET HEAD", "/health": "GET HEAD", "/v1/models": "GET HEAD", "/v1/models/claude-sonnet-4-5": "GET HEAD",
		messagesPath: "POST", countPath: "POST", "/v1/metrics": "POST", "/v1/logs": "POST", "/v1/traces": "POST",
	}
	for path, good := range allowed {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post", "BREW"} {
			if !strings.Contains(" "+good+" ", " "+method+" ") {
				rows = append(rows, badRequest{name: "method " + method + " " + path, head: head(method, path, "Content-Length: 0"), want: 405})
			}
		}
	}
	return append(rows,
		badRequest{name: "method with a bracket", head: head("P(ST", messagesPath), want: 400, bare: true},
		badRequest{name: "no method", head: head("", messagesPath), want: 400, bare: true},
		badRequest{name: "CONNECT", head: head("CONNECT", "api.anthropic.com:443", "Host: localhost"), want: 403}, // the target stands for Host
		badRequest{name: "CONNECT to this machine", head: head("CONNECT", "localhost:443"), want: 404},
		badRequest{name: "OPTIONS *", head: head("OPTIONS", "*", "Content-Length: 0"), want: 404},
		badRequest{name: "preflight", head: head("OPTIONS", messagesPath, "Origin: https://evil.example",
			"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-api-key"), want: 403},
	)
}

func badPaths() (rows []badRequest) {
	for _, path := range []string{
		"/v1", "/v1/", "/v1/message", "/v1/messages/", "//v1/messages", "/v1//messages", "/V1/MESSAGES", "/v1/messages/..", "/v1/messages/../messages",
		"/./v1/messages", "/x/../v1/messages", "/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd",
		"/..%5c..%5cwindows%5cwin.ini", "/v1/messages%00", "/v1/messages%0d%0aX-Injected:%20yes", "/v1/messages%1b[31m", "/v1/messages%7f", "/v1/messages;x=y",
		"/v1/messages%20", "/v1/messages/count_tokens/", "/v1/messages/batches", "/v1/complete", "/v1/files", "/v1/models/",
		"/v1/models/gpt-4o", "/v1/models/..", "/v1/models/../../etc/passwd", "/v1/models/%00%1b%5b31m", "/v1/models/%e2%80%ae", "/v1/models/%ff%fe",
		"/v1/models/" + strings.Repeat("m", 30_000), "/debug/pprof/", "/favicon.ico", "/robots.txt", "/.env", "/.git/config", "/config.yaml", "/%",
	} {
		row := badRequest{name: "path " + path[:min(len(path), 40)], head: head("GET", path), want: 404}
		if path == "/%" {
			row.want, row.bare = 400, true
		}
		rows = append(rows, row)
	}
	return append(rows,
		badRequest{name: "path with a raw blank", head: head("GET", "/v1/mess ages"), want: 400, bare: true},
		badRequest{name: "path with a raw escape", head: head("GET", "/v1/\x1b[31m"), want: 400, bare: true},
		badRequest{name: "path without a slash", head: head("GET", "v1/messages"), want: 400, bare: true},
		badRequest{name: "no path", head: head("GET", ""), want: 400, bare: true},
		badRequest{name: "only a query", head: head("GET", "?beta=true"), want: 400, bare: true},
	)
}

func badCredentials() (rows []badRequest) {
	for name, lines := range map[string][]string{
		"none":                     {"X-Other: y"},
		"wrong key":                {"x-api-key: " + wrongKey},
		"wrong bearer":             {"Authorization: Bearer " + wrongKey},
		"empty key":                {"x-api-key: "},
		"empty bearer":             {"Authorization: Bearer "},
		"scheme alone":             {"Authorization: Bearer"},
		"both wrong":               {"x-api-key: " + wrongKey, "Authorization: Bearer " + wrongKey},
		"Basic":                    {"Authorization: Basic " + fullKey},
		"no scheme":                {"Authorization: " + fullKey},
		"the scheme twice":         {"Authorization: Bearer Bearer " + fullKey},
		"a wrong key first":        {"x-api-key: " + wrongKey, "x-api-key: " + wrongKey + "2"},
		"prefix of a key":          {"x-api-key: " + fullKey[:len(fullKey)-1]},
		"a key and more":           {"x-api-key: " + fullKey + "x"},
		"two keys in one":          {"x-api-key: " + fullKey + ", " + haikuKey},
		"a key in capitals":        {"x-api-key: " + strings.ToUpper(fullKey)},
		"a quoted key":             {`x-api-key: "` + fullKey + `"`},
		"in the cookie":            {"Cookie: x-api-key=" + fullKey},
		"as proxy's":               {"Proxy-Authorization: Bearer " + fullKey},
		"the upstream's own":       {"x-api-key: " + upstreamOf + "a"},
		"as another header":        {"api-key: " + fullKey},
		"with text that is none":   {"x-api-key: \xff\xfe"},
		"very long":                {"x-api-key: " + strings.Repeat("k", 50_000)},
		"the name of a configured": {"x-api-key: everything"},
	} {
		if !strings.HasPrefix(lines[0], "x-api-key:") {
			lines = append([]string{"x-api-key-absent: 1"}, lines...)
		}
		for _, path := range []string{messagesPath, countPath} {
			row := posted("credential "+name+" "+path, path, soundBody, 401, lines...)
			row.head = withoutSoundKey(row.head, lines)
			rows = append(rows, row)
		}
		row := badRequest{name: "credential " + name + " /v1/models", head: withoutSoundKey(head("GET", "/v1/models", lines...), lines), want: 401}
		rows = append(rows, row)
	}
	query := posted("credential in the query", messagesPath+"?x-api-key="+fullKey+"&key="+fullKey, soundBody, 401)
	query.head = strings.Replace(query.head, "x-api-key: "+fullKey+"\r\n", "", 1)
	return append(rows, query,
		posted("a model that the key may not ask for", messagesPath, soundBody, 403, "x-api-key: "+haikuKey),
		posted("the same, counted", countPath, soundBody, 403, "x-api-key: "+haikuKey),
		posted("the same, by escapes", messagesPath, strings.Replace(soundBody, "claude-s", `claude-\u0073`, 1), 403, "x-api-key: "+haikuKey),
		posted("the same, by another provider's name", messagesPath, soundBody, 403, "x-api-key: "+haikuKey, "x-anyproxy-provider: a"),
		posted("the same, behind an allowed one", messagesPath, strings.Replace(soundBody, "{", `{"model":"claude-haiku-4-5",`, 1), 400, "x-api-key: "+haikuKey),
	)
}

// withoutSoundKey takes the good key out of a head whose lines bring another
// credential or none.
func withoutSoundKey(h string, lines []string) string {
	if strings.HasPrefix(lines[0], "x-api-key:") {
		return h
	}
	return strings.Replace(h, "x-api-key: "+fullKey+"\r\n", "", 1)
}

func badOrigins(address string) (rows []badRequest) {
	for _, host := range []string{
		"evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io", "evil.example.localhost:1",
		"0.0.0.0", "[::]", "192.168.1.1", "10.0.0.1:8080", "2130706433", "0x7f000001", "127.1", "0177.0.0.1", "169.254.169.254",
		"[::ffff:192.168.1.1]", "xn--lcalhost-0ya", "localhost.", "",
	} {
		rows = append(rows, posted("Host "+cmp.Or(host, "empty"), messagesPath, soundBody, 403, "Host: "+host))
	}
	for _, path := range []string{"/", "/health", "/v1/models", "/v1/metrics", "/nowhere"} {
		rows = append(rows, badRequest{name: "foreign Host for " + path, head: head("GET", path, "Host: evil.example"), want: 403})
	}
	for _, origin := range []string{
		"https://evil.example", "http://localhost", "http://localhost:3000", "http://127.0.0.1", "http://" + address, "null", "file://", "chrome-extension://abc",
		"*", "::::", "%zz", "evil.example", "http://localhost@evil.example", "http://[::1", "\xff",
	} {
		rows = append(rows, posted("Origin "+fmt.Sprintf("%+q", origin), messagesPath, soundBody, 403, "Origin: "+origin))
	}
	return append(rows,
		badRequest{name: "no Host", head: "GET / HTTP/1.1\r\n\r\n", want: 400, bare: true},
		badRequest{name: "two Hosts", head: head("GET", "/", "Host: localhost", "Host: evil.example"), want: 400, bare: true},
		badRequest{name: "a Host that is none", head: head("GET", "/", "Host: a b"), want: 400, bare: true},
		badRequest{name: "a Host with a user", head: head("GET", "/", "Host: user@localhost"), want: 400, bare: true},
		badRequest{name: "a Host with a raw byte", head: head("GET", "/", "Host: local\x01host"), want: 400, bare: true},
		badRequest{name: "foreign Origin for /", head: head("GET", "/", "Origin: https://evil.example"), want: 403},
		badRequest{name: "foreign absolute URI", head: head("GET", "http://evil.example/"), want: 403},
		badRequest{name: "foreign absolute URI, own Host", head: head("POST", "http://api.anthropic.com"+messagesPath, "Content-Length: 0"), want: 403},
		badRequest{name: "own absolute URI, unknown path", head: head("GET", "http://"+address+"/nowhere"), want: 404},
		badRequest{name: "own absolute URI, foreign Host, no body", head: head("POST", "http://"+address+messagesPath, "Host: evil.example", "Content-Length: 0"), want: 400},
		badRequest{name: "absolute URI of another scheme", head: head("GET", "file:///etc/passwd"), want: 404},
		badRequest{name: "absolute URI with a user", head: head("GET", "http://localhost@evil.example/"), want: 403},
	)
}

func badHeaders() (rows []badRequest) {
	for _, coding := range []string{"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "gzip, gzip", "identity, gzip", "chunked", "*", "nonsense", "\xff"} {
		rows = append(rows, posted("Content-Encoding "+fmt.Sprintf("%+q", coding), messagesPath, soundBody, 415, "Content-Encoding: "+coding))
	}
	for name, provider := range map[string]string{
		"unknown": "nobody", "in capitals": "A", "with a blank": "a b", "a list": "a,b", "a path": "../a", "HTML": "<script>", "a pattern": "*",
		"not ASCII": "ä", "no UTF-8": "\xff\xfe", "with C1": "\u009b31m", "with bidi": "\u202eabc", "with a tab": "a\tb", "long": strings.Repeat("a", 40_000),
		"an endpoint": "http://127.0.0.1:1", "another's model": "b",
	} {
		rows = append(rows, posted("x-anyproxy-provider "+name, messagesPath, soundBody, 400, "x-anyproxy-provider: "+provider),
			posted("x-anyproxy-provider, counted, "+name, countPath, soundBody, 400, "x-anyproxy-provider: "+provider))
	}
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf("X-H-%d: value", i)
	}
	twice := posted("Content-Encoding identity, then gzip", messagesPath, soundBody, 415, "Content-Encoding: identity", "Content-Encoding: gzip")
	return append(rows, twice,
		badRequest{name: "a header over 64 KiB", head: head("GET", "/", "X-Big: "+strings.Repeat("x", 80<<10)), want: 431, bare: true},
		badRequest{name: "a header of 4 MiB", head: head("GET", "/", "X-Big: "+strings.Repeat("x", 4<<20)), want: 431, bare: true},
		badRequest{name: "a header without end", head: "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", body: strings.Repeat("x", 64<<10), endless: true, want: 431, bare: true},
		badRequest{name: "a request line without end", head: "GET /", body: strings.Repeat("x", 64<<10), endless: true, want: 431, bare: true},
		badRequest{name: "10,000 headers", head: head("GET", "/", many...), want: 431, bare: true},
		badRequest{name: "an obsolete fold", head: head("GET", "/nowhere", "X-A: b", " folded"), want: 404}, // RFC 9112, 5.2: a blank in its place is allowed
		badRequest{name: "a fold first", head: "GET / HTTP/1.1\r\n folded: y\r\nHost: localhost\r\n\r\n", want: 400, bare: true},
		badRequest{name: "a header without colon", head: head("GET", "/", "nonsense"), want: 400, bare: true},
		badRequest{name: "a header without name", head: head("GET", "/", ": value"), want: 400, bare: true},
		badRequest{name: "a blank before the colon", head: head("GET", "/", "X-A : b"), want: 400, bare: true},
		badRequest{name: "a name with a raw byte", head: head("GET", "/", "X-\x01A: b"), want: 400, bare: true},
		badRequest{name: "a value with zero", head: head("GET", "/", "X-A: b\x00c"), want: 400, bare: true},
		badRequest{name: "a value with an escape", head: head("GET", "/", "x-anyproxy-provider: \x1b[31m"), want: 400, bare: true},
		badRequest{name: "Expect nonsense", head: head("POST", messagesPath, "Expect: a-miracle", "Content-Length: 2"), body: "{}", want: 417, bare: true},
		posted("Expect 100-continue, bad body", messagesPath, "{", 400, "Expect: 100-continue"),
		posted("Upgrade to HTTP/2", messagesPath, "{", 400, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
		posted("Upgrade to WebSocket", messagesPath, "{", 400, "Connection: Upgrade", "Upgrade: websocket"),
	)
}

// badLengths are bodies that are not as long as they say. Where the answer is
// known from the headers it must not wait for a body.
func badLengths() (rows []badRequest) {
	half := fmt.Sprintf("Content-Length: %d", 2*len(soundBody))
	tenGB := "Content-Length: 10000000000"
	for _, path := range []string{messagesPath, countPath} {
		rows = append(rows,
			badRequest{name: "a body of half its length to " + path, head: head("POST", path, half), body: soundBody, cut: true, want: 400},
			badRequest{name: "no body of its length to " + path, head: head("POST", path, half), cut: true, want: 400},
			badRequest{name: "a length too short to " + path, head: head("POST", path, "Content-Length: 20"), body: soundBody, want: 400},
			badRequest{name: "length 0 to " + path, head: head("POST", path, "Content-Length: 0"), body: soundBody, want: 400},
			badRequest{name: "no length to " + path, head: head("POST", path), body: "", want: 400},
			badRequest{name: "10 GB announced to " + path, head: head("POST", path, tenGB), want: 413},
			badRequest{name: "10 GB expected to " + path, head: head("POST", path, tenGB, "Expect: 100-continue"), want: 413},
			badRequest{name: "10 GB sent to " + path, head: head("POST", path, tenGB), body: strings.Repeat(" ", 1<<20), endless: true, want: 413},
			badRequest{name: "a byte too many to " + path, head: head("POST", path, fmt.Sprintf("Content-Length: %d", 32<<20+1)), want: 413},
		)
	}
	for _, length := range []string{"-1", "+5", "5.0", "0x10", "1e3", "five", "1,1", "5 5", "99999999999999999999999", ""} {
		row := badRequest{name: "Content-Length " + cmp.Or(length, "empty"), head: head("POST", messagesPath, "Content-Length: "+length), body: soundBody, want: 400, bare: true}
		rows = append(rows, row)
	}
	waiting := func(name string, want int, method, path string, lines ...string) {
		rows = append(rows, badRequest{name: name + ", and the body never comes", head: head(method, path, append(lines, "Content-Length: 100")...), want: want})
	}
	waiting("a wrong key", 401, "POST", messagesPath, "x-api-key: "+wrongKey)
	waiting("an unknown path", 404, "POST", "/nowhere")
	waiting("a wrong method", 405, "DELETE", messagesPath)
	waiting("a foreign Host", 403, "POST", messagesPath, "Host: evil.example")
	waiting("a foreign Origin", 403, "POST", messagesPath, "Origin: https://evil.example")
	waiting("an encoded body", 415, "POST", messagesPath, "Content-Encoding: gzip")
	return append(rows, badRequest{name: "two lengths", head: head("POST", messagesPath, "Content-Length: 4", "Content-Length: 5"), body: soundBody, want: 400, bare: true})
}

// badChunks are chunked bodies that are wrong, and heads that two servers could
// read differently.
func badChunks() (rows []badRequest) {
	const coded = "Transfer-Encoding: chunked"
	size := fmt.Sprintf("%x\r\n", len(soundBody))
	for name, body := range map[string]string{
		"that break off in a chunk":     size + soundBody[:50],
		"that break off behind a chunk": size + soundBody + "\r\n",
		"that break off in a size":      "1",
		"that are nothing":              "",
		"that are empty":                "0\r\n\r\n",
		"of no hexadecimal size":        "zz\r\n" + soundBody,
		"of a negative size":            "-1\r\n" + soundBody,
		"of a blank size":               "\r\n" + soundBody,
		"of a size with 0x":             "0x10\r\n" + soundBody,
		"of a huge size":                "ffffffffffffffffff\r\n" + soundBody,
		"of the largest size":           "7fffffffffffffff\r\n" + soundBody,
		"without line ends":             size + soundBody + "0\r\n\r\n",
		"with a long extension":         fmt.Sprintf("%x;x=%s\r\n", len(soundBody), strings.Repeat("x", 64<<10)) + soundBody + "\r\n0\r\n\r\n",
		"of bad JSON":                   "1\r\n{\r\n0\r\n\r\n",
		"of raw bytes":                  "\xff\x00\x1b",
	} {
		rows = append(rows, badRequest{name: "chunks " + name, head: head("POST", messagesPath, coded), body: body, cut: true, want: 400},
			badRequest{name: "counted chunks " + name, head: head("POST", countPath, coded), body: body, cut: true, want: 400})
	}
	const hidden = "0\r\n\r\nPOST /v1/messages HTTP/1.1\r\nHost: evil.example\r\n\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat(" ", 1<<20))
	rows = append(rows,
		badRequest{name: "chunks without end", head: head("POST", messagesPath, coded), body: chunk, endless: true, want: 413},
		badRequest{name: "33 MiB in chunks", head: head("POST", messagesPath, coded), body: strings.Repeat(chunk, 33) + "0\r\n\r\n", want: 413},
		badRequest{name: "a length beside chunks", head: head("POST", messagesPath, coded, "Content-Length: 4"), body: hidden, want: 400},
		badRequest{name: "chunks beside a length", head: head("POST", messagesPath, fmt.Sprintf("Content-Length: %d", len(hidden)), coded), body: hidden, want: 400},
		badRequest{name: "chunks beside a bad length", head: head("POST", messagesPath, coded, "Content-Length: x"), body: hidden, want: 400, bare: true},
		badRequest{name: "chunked and more, in HTTP/1.0", head: strings.Replace(head("POST", messagesPath, coded), "HTTP/1.1", "HTTP/1.0", 1), body: hidden, want: 400},
	)
	// A coding that it does not know is 501 by RFC 9112, 6.1, and net/http says
	// so before any handler runs.
	for _, line := range []string{"xchunked", "chunked, identity", "gzip, chunked", "identity", "chunked, chunked", "chunked;q=1", "\"chunked\"", ",chunked", "\x0bchunked"} {
		row := badRequest{name: fmt.Sprintf("Transfer-Encoding %+q", line), head: head("POST", messagesPath, "Transfer-Encoding: "+line), body: hidden, want: 501, bare: true}
		if strings.ContainsRune(line, '\x0b') {
			row.want = 400
		}
		rows = append(rows, row)
	}
	return append(rows,
		badRequest{name: "Transfer-Encoding twice", head: head("POST", messagesPath, coded, coded), body: hidden, want: 501, bare: true},
		badRequest{name: "Transfer-Encoding, a blank before the colon", head: head("POST", messagesPath, "Transfer-Encoding : chunked"), body: hidden, want: 400, bare: true},
		badRequest{name: "Transfer-Encoding folded", head: head("POST", messagesPath, "Transfer-Encoding:", " chunked", "Content-Length: 4"), body: hidden, want: 400},
		badRequest{name: "Transfer-Encoding folded into another", head: head("POST", messagesPath, "X-A: b", " Transfer-Encoding: chunked", "Content-Length: 2"), body: "0\r\n\r\n", want: 400},
	)
}

// badHTTP is what is no HTTP/1.1.
func badHTTP() []badRequest {
	row := func(name, head string, want int) badRequest {
		return badRequest{name: name, head: head, cut: true, want: want, bare: true}
	}
	return []badRequest{
		row("HTTP/0.9", "GET /\r\n\r\n", 400),
		row("HTTP/0.9, three words", "GET / HTTP/0.9\r\n\r\n", 505), // versions too are refused by net/http alone
		row("HTTP/2.0", "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
		row("HTTP/9.9", "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 505),
		row("HTTP/1.x", "GET / HTTP/1.x\r\nHost: localhost\r\n\r\n", 400),
		row("no version", "GET / HTTP\r\nHost: localhost\r\n\r\n", 400),
		row("HTTPS", "GET / HTTPS/1.1\r\nHost: localhost\r\n\r\n", 400),
		row("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
		row("SSH", "SSH-2.0-OpenSSH_9.6\r\n\r\n", 400),
		row("SMTP", "EHLO localhost\r\n\r\n", 400),
		row("zeros", strings.Repeat("\x00", 100)+"\r\n\r\n", 400),
		row("letters", strings.Repeat("garbage ", 100)+"\r\n\r\n", 400),
		row("an answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
		row("JSON alone", soundBody+"\r\n\r\n", 400),
		row("blank lines", "\r\n\r\n\r\n\r\n", 400),
		row("a head that breaks off", "POST /v1/messages HTTP/1.1\r\nHost: loc", 400),
		{name: "the preface of HTTP/2", head: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want: 403, cut: true},
		{name: "HTTP/1.0 without Host", head: "POST /v1/messages HTTP/1.0\r\nContent-Length: 1\r\n\r\n", body: "{", want: 403},
	}
}

func TestBadRequestsEndHere(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := writeFile(t, "config.yaml", fmt.Sprintf(`
apiKeys:
  - {name: everything, key: %s}
  - {name: haiku, key: %s, models: ["claude-haiku*"]}
providers:
  a: {endpoint: %q, apiKey: %sa}
  b: {endpoint: %q, apiKey: %sb}
models:
  - {alias: "claude-*", provider: a}
  - {name: other-model, provider: b}
`, fullKey, haikuKey, a.URL(), upstreamOf, b.URL(), upstreamOf))
	p := start(t, map[string]string{"LOG_LEVEL": "debug"}, "-config", file)
	address := strings.TrimPrefix(p.base, "http://")
	serves := func() {
		t.Helper()
		res, body := p.post(t, soundBody, "X-Api-Key", fullKey)
		if m, err := grammar.Check(body); err != nil || res.StatusCode != 200 || m.End != grammar.Complete {
			t.Fatalf("a good request: %d %v %s", res.StatusCode, err, body)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	serves()
	asked := len(a.Requests())
	resting := restOf(t)

	rows := badRequests(address)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			res, raw := row.send(t, address)
			row.judge(t, res, raw)
			if n := len(a.Requests()) + len(b.Requests()); n != asked {
				asked = n
				t.Error("an upstream was asked")
			}
		})
	}
	t.Logf("%d bad requests", len(rows))

	serves()
	resting.await(t)
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	lines := p.out.String() + p.errw.String()
	if i := strings.IndexFunc(lines, isControl); i >= 0 {
		t.Errorf("a control character in the output: %q", lines[max(i-80, 0):min(i+20, len(lines))])
	}
	for _, secret := range []string{fullKey, haikuKey, wrongKey, upstreamOf} {
		if i := strings.Index(lines, secret); i >= 0 {
			t.Errorf("%s is in the output: %q", secret, lines[max(i-80, 0):i])
		}
	}
	if strings.Contains(lines, "panic") {
		t.Error("a panic was logged")
	}
}

// send writes the request on a connection of its own and reads the first
// answer, with all of its bytes.
func (b badRequest) send(t *testing.T, address string) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	defer func() { conn.Close(); <-sent }()
	_ = conn.SetDeadline(time.Now().Add(patience / 4)) // sooner than the time that a body is given
	go func() {
		defer close(sent)
		_, err := io.WriteString(conn, b.head+b.body)
		for b.endless && err == nil {
			_, err = io.WriteString(conn, b.body)
		}
		if b.cut {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	var raw bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &raw))
	method, _, _ := strings.Cut(b.head, " ")
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("no answer: %v: %.300q", err, raw.String())
		}
		body, err := io.ReadAll(res.Body)
		if err != nil && !(b.bare && errors.Is(err, net.ErrClosed)) {
			t.Fatalf("the answer breaks off: %v: %.300q", err, raw.String())
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
		if res.StatusCode >= 200 {
			return res, raw.Bytes()
		}
	}
}

// judge compares an answer with the error that the API would give.
func (b badRequest) judge(t *testing.T, res *http.Response, raw []byte) {
	t.Helper()
	if res.StatusCode != b.want {
		t.Errorf("status %d, want %d: %.300q", res.StatusCode, b.want, raw)
	}
	if i := strings.IndexFunc(string(raw), isControl); i >= 0 || !utf8.Valid(raw) {
		t.Errorf("a control character in the answer: %.500q", raw)
	}
	for _, secret := range []string{fullKey, haikuKey, wrongKey, upstreamOf} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("the answer shows %s", secret)
		}
	}
	for name := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "X-Injected" || name == "Set-Cookie" {
			t.Errorf("the answer has the header %s", name)
		}
	}
	if b.bare {
		return
	}
	id := res.Header.Get("X-Anyproxy-Request-Id")
	if kind := res.Header.Get("Content-Type"); kind != "application/json" || id == "" {
		t.Errorf("content type %q, request id %q", kind, id)
	}
	if b.want == 405 && res.Header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
	if strings.HasPrefix(b.head, "HEAD ") {
		return // no body is allowed
	}
	body, _ := io.ReadAll(res.Body)
	checkShape(t, body, b.want, id)
}

// errorTypes are those of the API's list of errors; all else is invalid_request_error.
var errorTypes = map[int]string{
	401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
}

// checkShape demands the API's error: these fields and no others.
func checkShape(t *testing.T, body []byte, status int, id string) {
	t.Helper()
	var e struct {
		Type  string `json:"type"`
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
		RequestID string `json:"request_id"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%v: %.300q", err, body)
	}
	want := cmp.Or(errorTypes[status], "invalid_request_error")
	if e.Type != "error" || e.Error.Type != want || e.RequestID != id || e.Error.Message == "" || len(e.Error.Message) > 1000 {
		t.Errorf("want the error type %s and the request id %s: %.1500q", want, id, body)
	}
	if strings.ContainsFunc(e.Error.Message, func(r rune) bool { return r < ' ' || r >= 0x7f && r != '…' }) {
		t.Errorf("the message has characters that a terminal could obey: %q", e.Error.Message)
	}
}

func isControl(r rune) bool {
	return r < ' ' && r != '\r' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0
}

// TestOddRequestsAreTheUpstreams sends what is sound JSON with a model and a
// stream in it: all else is for the upstream to judge, byte for byte.
func TestOddRequestsAreTheUpstreams(t *testing.T) {
	a := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", configFile(t, "", a))
	replace := func(old, by string) string { return strings.Replace(soundBody, old, by, 1) }
	for name, body := range map[string]string{
		"a lone surrogate":       replace(`"hi"`, `"\ud800"`),
		"no UTF-8":               replace(`"hi"`, "\"\xff\xfe\x80\""),
		"escaped controls":       replace(`"hi"`, `"\u0000\u001b[31m\u202e"`),
		"a huge number":          replace(`{"role"`, `{"n":1e999999,"m":-0.00000000000000000000000000001e-99999,"role"`),
		"metadata of a number":   replace(`{"user_id":"u"}`, "5"),
		"metadata of a list":     replace(`{"user_id":"u"}`, "[[]]"),
		"metadata of null":       replace(`{"user_id":"u"}`, "null"),
		"a user of a number":     replace(`"u"`, "5"),
		"a user with controls":   replace(`"u"`, `"\u0000\u001b]0;x\u0007"`),
		"keys given twice":       replace("{", `{"max_tokens":1,"temperature":0,"temperature":1,"":0,"":1,`),
		"nested as deep as can":  nested("[", "]", 511),
		"blanks around":          " \r\n\t" + soundBody + "\r\n\t ",
		"10,000 blocks":          replace(`"hi"`, "["+strings.Repeat(`{"type":"text","text":"x"},`, 9_999)+`{"type":"text","text":"x"}]`),
		"escapes in the key":     replace(`"model"`, `"\u006d\u006fdel"`),
		"stream is null":         replace("true", "null"),
		"unknown members":        replace("{", `{"\u001b":{"model":"x","stream":"y"},`),
		"messages of odd things": replace("[{", `[{},{"content":5},{"content":{}},{"content":[[],1,{"content":[{}]}]},{`),
	} {
		t.Run(name, func(t *testing.T) {
			before := len(a.Requests())
			res, got := p.post(t, body)
			if res.StatusCode >= 500 {
				t.Errorf("%d %.300q", res.StatusCode, got)
			}
			all := a.Requests()
			if len(all) != before+1 || string(all[before].Body) != body {
				t.Errorf("it did not arrive as it was sent: %d %.300q", res.StatusCode, got)
			}
		})
	}
}

// rest is what a process holds while it has nothing to do.
type rest struct{ goroutines, descriptors int }

// restOf measures when nothing has changed for a while.
func restOf(t testing.TB) rest {
	t.Helper()
	last, same := holding(), 0
	eventually(t, "everything to be at rest", func() bool {
		now := holding()
		if now == last {
			same++
		} else {
			last, same = now, 0
		}
		return same > 50
	})
	return last
}

// await waits until no more than r is held.
func (r rest) await(t testing.TB) {
	t.Helper()
	var now rest
	defer func() {
		if t.Failed() {
			stacks := make([]byte, 64<<10)
			t.Logf("at rest: %+v, now: %+v\n%s", r, now, stacks[:runtime.Stack(stacks, true)])
		}
	}()
	eventually(t, "descriptors and goroutines back to rest", func() bool {
		now = holding()
		return now.goroutines <= r.goroutines && now.descriptors <= r.descriptors
	})
}

// holding counts; descriptors are counted where /proc tells them.
func holding() rest {
	fds, _ := os.ReadDir("/proc/self/fd")
	return rest{runtime.NumGoroutine(), len(fds)}
}
