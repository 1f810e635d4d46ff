package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

var errClosed = errors.New("answer is closed")

// A complaint is what an upstream says is wrong, in whatever shape it says it.
type complaint struct {
	message string
	code    string // or type: a word, or a status as a number
	param   string // the field that it is about
	raw     []byte
	// answered is the status that it came with, 0 for one inside an accepted answer.
	answered int
}

// complaintOf reads an error: the object of OpenAI's, one with a string in it
// (Ollama), an array around it (Gemini), a message at the top (vLLM, Mistral)
// or a detail (FastAPI).
func complaintOf(body []byte) complaint {
	c := complaint{raw: body}
	body = bytes.TrimSpace(body)
	if a, err := jsonscan.OpenArray(body, 0, maxDepth); err == nil && a.Next() {
		body = a.Raw()
	}
	more := ""
	o, err := jsonscan.OpenObject(body, 0, maxDepth)
	for err == nil && o.Next() {
		switch key, raw := string(name(o.Key)), o.Raw(); {
		case key == "error" && raw[0] == '{':
			inside := complaintOf(raw)
			inside.raw = c.raw
			c = inside
		case key == "detail" && raw[0] == '[':
			c.message = details(raw)
		case key == "error", key == "message", key == "detail":
			if text := inner(raw); len(text) > 0 && c.message == "" {
				c.message = plain(text)
			}
		case key == "code", key == "type" && c.code == "":
			if word := scalar(raw); word != "" {
				c.code = word
			}
		case key == "param":
			c.param = scalar(raw)
		case key == "metadata": // OpenRouter's, with what its own upstream said
			more = plain(member(raw, "raw"))
		}
	}
	if more != "" {
		c.message += ": " + more
	}
	return c
}

// scalar is a string or a number as a word.
func scalar(raw []byte) string {
	if text := inner(raw); text != nil {
		return plain(text)
	}
	if _, ok := jsonscan.Int(raw); ok {
		return string(raw)
	}
	return ""
}

// details joins FastAPI's list of what is wrong, with where.
func details(raw []byte) string {
	var list []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if json.Unmarshal(raw, &list) != nil {
		return ""
	}
	var out []string
	for _, d := range list {
		where := make([]string, len(d.Loc))
		for i, step := range d.Loc {
			where[i] = fmt.Sprint(step)
		}
		out = append(out, strings.Join(where, ".")+": "+d.Msg)
	}
	return strings.Join(out, "; ")
}

// status is what an error inside an accepted answer stands for: its code where
// that is a status, or a word that names one.
func (c *complaint) status() int {
	if n, err := strconv.Atoi(c.code); err == nil && n >= 400 && n < 600 {
		return n
	}
	word := strings.ToLower(c.code)
	for _, known := range []struct {
		part   string
		status int
	}{
		{"rate_limit", http.StatusTooManyRequests}, {"insufficient_quota", http.StatusTooManyRequests}, {"resource_exhausted", http.StatusTooManyRequests},
		{"overloaded", 529}, {"unavailable", http.StatusServiceUnavailable},
		{"authentication", http.StatusUnauthorized}, {"invalid_api_key", http.StatusUnauthorized}, {"permission", http.StatusForbidden},
		{"not_found", http.StatusNotFound}, {"context_length", http.StatusBadRequest}, {"invalid_request", http.StatusBadRequest},
		{"timeout", http.StatusGatewayTimeout},
	} {
		if strings.Contains(word, known.part) {
			return known.status
		}
	}
	return http.StatusInternalServerError
}

// told makes an Error of an error that came with status 200, as the whole
// answer or as an event.
func (a answer) told(body []byte) *providers.Error {
	c := complaintOf(a.Redact(body))
	e := a.Refused(c.status())
	a.explain(e, &c)
	return e
}

// refused reads an answer with an error status.
func (a answer) refused() (*providers.Error, complaint) {
	e := a.Refused(a.Res.StatusCode)
	body, left := a.ErrorBody(e)
	if left != nil {
		return left, complaint{}
	}
	c := complaintOf(body)
	c.answered = a.Res.StatusCode
	if c.message == "" && len(body) > 0 && e.Err == nil {
		e.Err = errors.New(upstream.Excerpt(body))
	}
	a.explain(e, &c)
	return e, c
}

// explain gives an Error the body and header that a client of the Messages API
// expects: the upstream's words in its shape.
func (a answer) explain(e *providers.Error, c *complaint) {
	message := c.message
	if over, ok := overflow(c, a.reply.target); ok {
		message = over
		e.Status, e.Class = http.StatusBadRequest, providers.ClassInvalid
	}
	if message == "" {
		message = "upstream answered " + strconv.Itoa(e.Status)
	}
	e.Header = upstream.EndToEnd(a.Res.Header).Clone()
	e.Header.Set("Content-Type", "application/json")
	e.Body = errorBody(e.Status, message)
}

// errorBody is an error in the shape of the Messages API.
func errorBody(status int, message string) []byte {
	b := append([]byte(`{"type":"error","error":{"type":"`), providers.ErrorType(status)...)
	b = appendString(append(b, `","message":`...), strings.ToValidUTF8(message, "\ufffd"))
	return append(b, `}}`...)
}

// overflows are the ways in which upstreams say that a prompt is too long, with
// the tokens that were asked for and the most that are possible where they say.
var overflows = []*regexp.Regexp{
	regexp.MustCompile(`(?is)passed (?P<asked>\d+) input tokens.*?context length is only (?P<most>\d+)`),                                                          // vLLM since 2026, vllm-project/vllm#33418
	regexp.MustCompile(`(?is)maximum context length (?:is|of) (?P<most>\d+) tokens.*?(?:resulted in|requested|contains|has) (?:about |at least )?(?P<asked>\d+)`), // OpenAI, vLLM, DeepSeek, OpenRouter
	regexp.MustCompile(`(?is)prompt is too long: (?P<asked>\d+) tokens > (?P<most>\d+)`),                                                                          // Anthropic behind a gateway
	regexp.MustCompile(`(?is)input token count \(?(?P<asked>\d+)\)? exceeds the maximum number of tokens allowed \(?(?P<most>\d+)`),                               // Gemini
	regexp.MustCompile(`(?is)prompt contains (?P<asked>\d+) tokens.*too large for model with (?P<most>\d+) maximum context length`),                               // Mistral
	regexp.MustCompile(`(?is)request \((?P<asked>\d+) tokens\) exceeds the available context size \((?P<most>\d+) tokens\)`),                                      // llama.cpp
	regexp.MustCompile(`(?is)requested tokens \((?P<asked>\d+)\) exceed context window of (?P<most>\d+)`),                                                         // llama-cpp-python
	regexp.MustCompile(`(?is)must be <= (?P<most>\d+)\. given: (?P<asked>\d+)`),                                                                                   // Together, TGI
	regexp.MustCompile(`(?is)input length (?P<asked>\d+) exceeds the (?:maximum|model's) .*?(?P<most>\d+)`),                                                       // SGLang, Fireworks
	regexp.MustCompile(`(?is)exceeds? the configured limit of (?P<most>\d+) tokens.*?resulted in (?P<asked>\d+)`),                                                 // OpenAI, newer
	regexp.MustCompile(`(?is)maximum context length|context[ _]length[ _]exceeded|exceeds? (?:the )?(?:available )?context (?:size|window|length)|reduce the length of the (?:messages|prompt|input)|input is too long|prompt is too long|too many input tokens`),
}

// overflow finds a prompt that is too long, and says so in the words on which
// Claude Code compacts the conversation.
func overflow(c *complaint, t *target) (string, bool) {
	code := strings.Contains(c.code, "context_length") || c.code == "exceed_context_size_error"
	for _, re := range overflows {
		m := re.FindStringSubmatch(c.message)
		if m == nil {
			continue
		}
		asked, most := group(re, m, "asked"), group(re, m, "most")
		switch {
		case most == 0:
		case asked > most:
			return tooLong(asked, most), true
		default:
			return "", false // it is the answer's limit that is too long
		}
	}
	vague := overflows[len(overflows)-1].MatchString(c.message)
	if !code && !vague {
		return "", false
	}
	asked, most := tokenCounts(c.raw)
	if most == 0 && t != nil {
		most = int64(t.context)
	}
	if most > 0 && asked > 0 {
		return tooLong(asked, most), true
	}
	return "prompt is too long: " + c.message, true
}

func tooLong(asked, most int64) string {
	return "prompt is too long: " + strconv.FormatInt(asked, 10) + " tokens > " + strconv.FormatInt(most, 10) + " maximum"
}

func group(re *regexp.Regexp, m []string, name string) int64 {
	i := re.SubexpIndex(name)
	if i < 0 {
		return 0
	}
	n, _ := strconv.ParseInt(m[i], 10, 64)
	return n
}

// tokenCounts reads the two numbers that llama.cpp puts beside its message.
func tokenCounts(raw []byte) (asked, most int64) {
	inside := value(raw, "error")
	return count(value(inside, "n_prompt_tokens")), count(value(inside, "n_ctx"))
}
