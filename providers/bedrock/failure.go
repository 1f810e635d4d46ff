package bedrock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"anyproxy/internal/jsonscan"
	"anyproxy/internal/redact"
	"anyproxy/providers"
	"anyproxy/providers/sse"
	"anyproxy/providers/upstream"
)

// exceptions are those of Bedrock's runtime, of the signature check and of
// throttling (docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
// and CommonErrors.html there), in lower case and without the word, with the
// statuses of what they are in terms of the Messages API.
var exceptions = map[string]int{
	"accessdenied":               http.StatusForbidden,
	"expiredtoken":               http.StatusForbidden,
	"incompletesignature":        http.StatusForbidden,
	"invalidclienttokenid":       http.StatusForbidden,
	"invalidsignature":           http.StatusForbidden,
	"missingauthenticationtoken": http.StatusForbidden,
	"notauthorized":              http.StatusForbidden,
	"optinrequired":              http.StatusForbidden,
	"signaturedoesnotmatch":      http.StatusForbidden,
	"unrecognizedclient":         http.StatusForbidden,
	"internalserver":             http.StatusInternalServerError,
	"internalfailure":            http.StatusInternalServerError,
	"modelerror":                 http.StatusInternalServerError,
	"modelstreamerror":           http.StatusInternalServerError,
	"modelnotready":              http.StatusServiceUnavailable,
	"serviceunavailable":         http.StatusServiceUnavailable,
	"modeltimeout":               http.StatusGatewayTimeout,
	"resourcenotfound":           http.StatusNotFound,
	"requestentitytoolarge":      http.StatusRequestEntityTooLarge,
	"servicequotaexceeded":       http.StatusTooManyRequests,
	"throttling":                 http.StatusTooManyRequests,
	"toomanyrequests":            http.StatusTooManyRequests,
	"validation":                 http.StatusBadRequest,
}

// statusOf gives the status that an exception stands for; where nobody knows it
// the answer's own decides, 0 = it came with none.
func statusOf(exception string, status int) int {
	// The header says ThrottlingException:http://internal.amazon.com/…, a body's
	// __type com.amazon.bedrock#ThrottlingException, a frame throttlingException.
	name := exception[strings.LastIndexByte(exception, '#')+1:]
	name, _, _ = strings.Cut(name, ":")
	name = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), "exception")
	if known, ok := exceptions[name]; ok {
		return known
	}
	switch status {
	case http.StatusUnauthorized:
		return http.StatusForbidden
	case http.StatusRequestTimeout:
		return http.StatusGatewayTimeout
	case http.StatusFailedDependency, 0:
		return http.StatusInternalServerError
	default:
		return status
	}
}

// A complaint is the body of an error of AWS's.
type complaint struct {
	exception, message string
	status             int // of the model behind Bedrock; 0 = not said
}

func readComplaint(body []byte) (c complaint) {
	o, err := jsonscan.OpenObject(body, 0, upstream.MaxDepth)
	for err == nil && o.Next() {
		text, _ := jsonscan.Unquote(o.Raw())
		switch strings.ToLower(memberName(o.Key)) {
		case "message":
			c.message = text
		case "originalmessage":
			if text != "" {
				c.message = text
			}
		case "originalstatuscode":
			n, _ := jsonscan.Int(o.Raw())
			c.status = int(n)
		case "__type", "code":
			c.exception = text
		}
	}
	return c
}

// statusAs is the status that c stands for: where the model behind Bedrock has
// failed, what it said of itself is more than that it has.
func (c complaint) statusAs(status int) int {
	status = statusOf(c.exception, status)
	if status == http.StatusInternalServerError {
		switch c.status {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, 529:
			return c.status
		}
	}
	return status
}

// translated makes of an answer with an error status the one that the Messages
// API would have given. said is its message for the operator, "" where there
// is none that can be read. secrets replaces what signed the request.
func translated(res *http.Response, secrets *redact.Redactor) (said string) {
	body, err := io.ReadAll(io.LimitReader(res.Body, upstream.MaxErrorBody))
	c := readComplaint(body)
	c.message = secrets.String(c.message)
	if exception := res.Header.Get("X-Amzn-Errortype"); exception != "" {
		c.exception = exception
	}
	res.StatusCode = c.statusAs(res.StatusCode)
	switch {
	case err != nil:
	case c.message != "":
		body, said = errorBody(res.StatusCode, c.message), forOperators(c.message)
		res.Header.Set("Content-Type", "application/json")
	default: // in a shape that is not AWS's: a gateway's, say
		body = withoutAccount([]byte(forOperators(secrets.String(string(body)))))
	}
	if err == nil {
		err = io.EOF
	}
	res.Body = &reread{io.MultiReader(bytes.NewReader(body), failing{err}), res.Body}
	return said
}

// reread is a body of which what was read is put back.
type reread struct {
	io.Reader
	io.Closer
}

// failing is a reader that ends at once.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// appendFailure appends an exception of an event stream as an error event. said
// is its message for the operator.
func appendFailure(dst []byte, exception string, payload []byte) (out []byte, said string) {
	c := readComplaint(payload)
	c.exception = exception
	return appendError(dst, c.statusAs(0), c.message), forOperators(c.message)
}

func appendError(dst []byte, status int, message string) []byte {
	return sse.AppendEvent(dst, sse.Error, errorBody(status, message))
}

// errorBody is an error of the Messages API.
func errorBody(status int, message string) []byte {
	var b struct {
		Type  string `json:"type"`
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}
	b.Type, b.Error.Type, b.Error.Message = "error", providers.ErrorType(status), forClients(message)
	out, _ := json.Marshal(b) // strings always marshal
	return out
}

const wrapped = "The model returned the following errors: "

// forClients is a message of AWS's as the Messages API would have put it:
// Claude Code acts on the wording. Nothing of it tells of the account.
func forClients(message string) string {
	message = strings.TrimPrefix(message, wrapped)
	message = forOperators(message)
	message = string(withoutAccount([]byte(message)))
	const tooLong = "prompt is too long"
	if lower := strings.ToLower(message); strings.Contains(lower, "input is too long") && !strings.Contains(lower, tooLong) {
		message = tooLong + ": " + message
	}
	if message == "" {
		message = "Bedrock gave no reason"
	}
	return message
}

// denied reports whether AWS knows the credentials, and knows that they may not.
func denied(said string) bool {
	return strings.Contains(said, "not authorized to perform")
}

// modelless reports whether AWS says that this account cannot be served by that
// model in that way, whatever is asked of it: another provider can.
func modelless(said string) bool {
	for _, text := range []string{
		"provided model identifier is invalid", "on-demand throughput isn", "has reached the end of its life",
		"don't have access to the model", "don’t have access to the model", "marked by provider as Legacy",
	} {
		if strings.Contains(said, text) {
			return true
		}
	}
	return false
}

// advice is what helps against what AWS says, with what leads to it; "" where AWS
// says it itself.
func (c *call) advice(said string, status int) string {
	model := c.model
	switch {
	case strings.Contains(said, "on-demand throughput"):
		return fmt.Sprintf("; name an inference profile as the model, such as us.%s or global.%[1]s", foundationID(model))
	case strings.Contains(said, "identifier is invalid"):
		return fmt.Sprintf("; this region has no %s: name an inference profile that it has (aws bedrock list-inference-profiles)", model)
	case strings.Contains(said, "access to the model"):
		return "; request access to it in the Bedrock console"
	case strings.Contains(said, "end of its life"):
		return "; name a newer model"
	case denied(said):
		return "; allow it in IAM, with bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream on the model and its inference profile"
	case status == http.StatusTooManyRequests && strings.Contains(said, "per day"):
		return "; ask for a higher quota of the model in Service Quotas"
	case status != http.StatusForbidden:
		return ""
	case c.session.credentials == nil:
		return "; make a new Bedrock API key and configure that"
	case strings.Contains(said, "expired") && c.session.login != "":
		return "; run " + c.session.login
	case strings.Contains(said, "expired"):
		return "; renew the AWS credentials, which come from " + c.session.source
	case strings.Contains(said, "security token") || strings.Contains(said, "signature"):
		return "; check the AWS credentials, which come from " + c.session.source
	default:
		return ""
	}
}

// withoutAccount is a text, or JSON in which strings are, without what tells of
// the account.
func withoutAccount(text []byte) []byte {
	dots := []byte(redact.Dots)
	return accountNumber.ReplaceAll(arn.ReplaceAll(text, dots), dots)
}

var (
	// arn ends at a backslash, which in JSON escapes what ends it in a text.
	arn           = regexp.MustCompile(`arn:aws[a-z-]*:(?:[^\s"'\\<>,;()]|\\/)+`)
	accountNumber = regexp.MustCompile(`\b[0-9]{12}\b`)
	// hash is a signature, or the hash of a request.
	hash = regexp.MustCompile(`\b[0-9a-fA-F]{64}\b`)
	// canonical is where AWS quotes a request whose signature does not match.
	canonical = regexp.MustCompile(`(?s)\s*The Canonical String for this request should have been.*`)
)

// forOperators is a message of AWS's without secrets and numbers of accounts; the
// rest of an ARN helps who has to mend it. A request that it quotes has the
// session token in it.
func forOperators(message string) string {
	message = canonical.ReplaceAllString(message, "")
	message = accountNumber.ReplaceAllString(message, redact.Dots)
	return hash.ReplaceAllString(message, redact.Dots)
}
