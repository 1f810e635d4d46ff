package bedrock

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"anyproxy/internal/redact"
)

// FuzzTranslated reads any answer with an error status: the client's has the
// API's shape where AWS's was one, and neither it nor what is told an operator
// holds what signed the request or an account's number.
func FuzzTranslated(f *testing.F) {
	const secret = "awsSecretAccessKey0123456789"
	f.Add(429, "ThrottlingException:http://internal.amazon.com/", `{"message":"Too many requests"}`)
	f.Add(400, "", `{"__type":"com.amazon.bedrock#ValidationException","Message":"arn:aws:bedrock:us-east-1:123456789012:x\\u000a`+secret+`"}`)
	f.Add(424, "", `{"originalStatusCode":529,"originalMessage":"{\"a\":1}","message":""}`)
	f.Add(403, "", "<html>"+secret+" 123456789012</html>")
	f.Add(500, "\x00", "\xff")
	f.Fuzz(func(t *testing.T, status int, exception, text string) {
		if status < 400 || status > 599 {
			return
		}
		res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text))}
		if exception != "" {
			res.Header.Set("X-Amzn-Errortype", exception)
		}
		said := translated(res, redact.New(secret))
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode < 400 || res.StatusCode > 599 {
			t.Fatalf("%d became %d: %v", status, res.StatusCode, err)
		}
		if said != "" && !json.Valid(body) {
			t.Errorf("%q is no JSON", body)
		}
		for _, out := range [][]byte{[]byte(said), body} {
			if bytes.Contains(out, []byte(secret)) || accountNumber.Match(out) {
				t.Errorf("it tells %q", out)
			}
		}
	})
}
