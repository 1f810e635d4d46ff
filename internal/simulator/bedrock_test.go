package simulator

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const bedrockBody = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":10,"messages":[{"role":"user","content":"say hi"}]}`

var account = &AWS{Region: "us-west-2", APIKey: "an-api-key", Keys: func(id string) (AWSKey, bool) {
	return map[string]AWSKey{"KEY": {Secret: "secret"}, "SESSION": {Secret: "secret", Token: "token"}, "OLD": {Secret: "secret", Expired: true}}[id], id != "NOBODY"
}}

// signed is a request that the SDK has signed.
func signed(t *testing.T, url string, c aws.Credentials, region, service string, at time.Time) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", url, strings.NewReader(bedrockBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Odd", "  two   words ")
	if err := v4.NewSigner().SignHTTP(t.Context(), c, r, hexHash([]byte(bedrockBody)), service, region, at); err != nil {
		t.Fatal(err)
	}
	return r
}

// The check of signatures, written from their specification, agrees with the
// SDK's signer, and with nothing else.
func TestSignatures(t *testing.T) {
	now := time.Now()
	key := aws.Credentials{AccessKeyID: "KEY", SecretAccessKey: "secret"}
	const url = "http://bedrock.example/model/us.anthropic.claude-x-v1%3A0/invoke"
	for name, tt := range map[string]struct {
		r    *http.Request
		edit func(*http.Request)
		want string // exception, "" = taken
	}{
		"right":           {signed(t, url, key, "us-west-2", "bedrock", now), nil, ""},
		"an ARN":          {signed(t, "http://bedrock.example/model/arn%3Aaws%3Abedrock%3A%3A1%3Ainference-profile%2Fa%20b/invoke", key, "us-west-2", "bedrock", now), nil, ""},
		"a token":         {signed(t, url, aws.Credentials{AccessKeyID: "SESSION", SecretAccessKey: "secret", SessionToken: "token"}, "us-west-2", "bedrock", now), nil, ""},
		"another secret":  {signed(t, url, aws.Credentials{AccessKeyID: "KEY", SecretAccessKey: "x"}, "us-west-2", "bedrock", now), nil, "InvalidSignatureException"},
		"another token":   {signed(t, url, aws.Credentials{AccessKeyID: "SESSION", SecretAccessKey: "secret", SessionToken: "x"}, "us-west-2", "bedrock", now), nil, "UnrecognizedClientException"},
		"an unknown key":  {signed(t, url, aws.Credentials{AccessKeyID: "NOBODY", SecretAccessKey: "secret"}, "us-west-2", "bedrock", now), nil, "UnrecognizedClientException"},
		"an expired key":  {signed(t, url, aws.Credentials{AccessKeyID: "OLD", SecretAccessKey: "secret"}, "us-west-2", "bedrock", now), nil, "ExpiredTokenException"},
		"another region":  {signed(t, url, key, "eu-west-1", "bedrock", now), nil, "InvalidSignatureException"},
		"another service": {signed(t, url, key, "us-west-2", "s3", now), nil, "InvalidSignatureException"},
		"old":             {signed(t, url, key, "us-west-2", "bedrock", now.Add(-2*maxSkew)), nil, "InvalidSignatureException"},
		"of tomorrow":     {signed(t, url, key, "us-west-2", "bedrock", now.Add(24*time.Hour)), nil, "InvalidSignatureException"},
		"another host":    {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) { r.Host = "other.example" }, "InvalidSignatureException"},
		"another path":    {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) { r.RequestURI = "/model/other/invoke" }, "InvalidSignatureException"},
		"another header":  {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) { r.Header.Set("X-Odd", "three") }, "InvalidSignatureException"},
		"host not signed": {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", strings.Replace(a, "host;", "", 1))
		}, "InvalidSignatureException"},
		"none":             {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException"},
		"half of one":      {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") }, "IncompleteSignatureException"},
		"an API key":       {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) { r.Header.Set("Authorization", "Bearer an-api-key") }, ""},
		"a false API key":  {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "IncompleteSignatureException"},
		"an empty API key": {signed(t, url, key, "us-west-2", "bedrock", now), func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, "IncompleteSignatureException"},
	} {
		r := tt.r.Clone(t.Context())
		r.RequestURI = r.URL.RequestURI()
		if tt.edit != nil {
			tt.edit(r)
		}
		status, got, message := account.check(r, []byte(bedrockBody))
		if got != tt.want || (status == 0) != (tt.want == "") {
			t.Errorf("%s: %d %s %s, want %q", name, status, got, message, tt.want)
		}
	}
	if _, got, _ := account.check(signed(t, url, key, "us-west-2", "bedrock", now), []byte("other")); got != "InvalidSignatureException" {
		t.Errorf("another body: %q", got)
	}
}

// bedrockPost sends a body with an API key.
func bedrockPost(t *testing.T, u *Upstream, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequest("POST", u.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer an-api-key")
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestBedrockStream(t *testing.T) {
	u, err := Start(t.Context(), Options{Script: Always(Answer{Blocks: []Block{Text("hi there")}}), AWS: account})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	res := bedrockPost(t, u, "/model/us.anthropic.claude-x-v1%3A0/invoke-with-response-stream", bedrockBody)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/vnd.amazon.eventstream" || res.Header.Get("X-Amzn-Requestid") == "" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	var types []string
	last := ""
	for {
		m, err := eventstream.NewDecoder().Decode(res.Body, nil)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var chunk struct{ Bytes []byte }
		var event struct{ Type string }
		if json.Unmarshal(m.Payload, &chunk) != nil || json.Unmarshal(chunk.Bytes, &event) != nil || m.Headers.Get(":event-type").String() != "chunk" {
			t.Fatalf("frame %+v", m)
		}
		types, last = append(types, event.Type), string(chunk.Bytes)
	}
	if got := strings.Join(types, " "); got != "message_start content_block_start content_block_delta content_block_delta content_block_stop message_delta message_stop" {
		t.Error(got)
	}
	if !strings.Contains(last, `"amazon-bedrock-invocationMetrics":{"inputTokenCount":`) {
		t.Error(last)
	}
	if got := u.Requests(); len(got) != 1 || got[0].Ask().Model != "us.anthropic.claude-x-v1:0" || !got[0].Ask().Stream || got[0].Ask().Text != "say hi" {
		t.Errorf("%+v", got[0].Ask())
	}
}

func TestBedrockRefuses(t *testing.T) {
	u, err := Start(t.Context(), Options{Script: Always(Answer{Faults: []Fault{RateLimited(0)}}), AWS: account})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	const path = "/model/m/invoke"
	for _, tt := range []struct {
		path, body string
		status     int
		exception  string
		message    string
	}{
		{path, bedrockBody, 429, "ThrottlingException", "rate limit"},
		{path, `{"max_tokens":1}`, 400, "ValidationException", "anthropic_version: Field required"},
		{path, strings.Replace(bedrockBody, "{", `{"model":"m",`, 1), 400, "ValidationException", "model: Extra inputs are not permitted"},
		{path, strings.Replace(bedrockBody, "{", `{"anthropic_beta":["oauth-2025-04-20"],`, 1), 400, "ValidationException", "invalid beta flag"},
		{path, strings.Replace(bedrockBody, "{", `{"context_management":{},`, 1), 400, "ValidationException", "context_management: Extra inputs are not permitted"},
		{path, `{`, 400, "ValidationException", "Malformed input request"},
		{"/model/m/other", bedrockBody, 404, "UnknownOperationException", ""},
		{"/model/m/count-tokens", `{}`, 400, "ValidationException", "input: Field required"},
	} {
		res := bedrockPost(t, u, tt.path, tt.body)
		var said struct{ Message string }
		body, _ := io.ReadAll(res.Body)
		if err := json.Unmarshal(body, &said); err != nil || res.StatusCode != tt.status || !strings.HasPrefix(res.Header.Get("X-Amzn-Errortype"), tt.exception+":") || !strings.Contains(said.Message, tt.message) {
			t.Errorf("%s %s: %d %s %s", tt.path, tt.body, res.StatusCode, res.Header.Get("X-Amzn-Errortype"), body)
		}
	}
	counted := bedrockPost(t, u, "/model/m/count-tokens", `{"input":{"invokeModel":{"body":"`+base64Of(bedrockBody)+`"}}}`)
	if body, _ := io.ReadAll(counted.Body); counted.StatusCode != 200 || !bytes.HasPrefix(body, []byte(`{"inputTokens":2`)) {
		t.Errorf("%d %s", counted.StatusCode, body)
	}
}

func base64Of(s string) string {
	b, _ := json.Marshal([]byte(s)) // bytes always marshal
	return strings.Trim(string(b), `"`)
}

func TestBedrockPath(t *testing.T) {
	for path, want := range map[string]bedrockRequest{
		"/model/a%3A0/invoke": {"a:0", "invoke"}, "/model/x%2Fy/count-tokens": {"x/y", "count-tokens"},
		"/model/a/b/invoke": {}, "/models/a/invoke": {}, "/model/a": {}, "/v1/messages": {},
	} {
		got, ok := bedrockPath(httptest.NewRequest("POST", path, nil))
		if ok != (want != bedrockRequest{}) || ok && got != want {
			t.Errorf("%s: %+v, %v", path, got, ok)
		}
	}
}
