package bedrock

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/smithy-go/auth/bearer"

	"anyproxy/config"
	"anyproxy/providers"
)

func TestRequestShape(t *testing.T) {
	const v = `{"anthropic_version":"bedrock-2023-05-31"`
	const msgs = `"max_tokens":10,"messages":[{"role":"user","content":"a \u00e9 <>&"}]`
	for _, tt := range []struct {
		name, body, betas, want string
		degraded                []string
	}{
		{"plain", `{"model":"claude-x",` + msgs + `,"stream":true}`, "", v + `,` + msgs + `}`, nil},
		{"order, numbers and escapes stay", `{"temperature":1.0,"model":"m","top_k":12345678901234567890,` + msgs + `}`, "",
			v + `,"temperature":1.0,"top_k":12345678901234567890,` + msgs + `}`, nil},
		{"nothing but what goes", `{"model":"m","stream":true}`, "", v + ` }`, nil},
		{"white space", " \n{ \"model\" : \"m\" , \"max_tokens\" : 1 }", "", v + `,"max_tokens":1}`, nil},
		{"a model named twice", `{"model":"m","max_tokens":1,"model":"n"}`, "", v + `,"max_tokens":1}`, nil},
		{"the client's own version", `{"anthropic_version":"2023-06-01","max_tokens":1}`, "", v + `,"max_tokens":1}`, nil},
		{"an escaped name", `{"m\u006fdel":"m","max_tokens":1}`, "", v + `,"max_tokens":1}`, nil},
		{"betas", `{"max_tokens":1}`, "interleaved-thinking-2025-05-14, context-1m-2025-08-07",
			v + `,"anthropic_beta":["interleaved-thinking-2025-05-14","context-1m-2025-08-07"],"max_tokens":1}`, nil},
		{"betas in the body", `{"anthropic_beta":["context-1m-2025-08-07"],"max_tokens":1}`, "interleaved-thinking-2025-05-14,context-1m-2025-08-07",
			v + `,"anthropic_beta":["interleaved-thinking-2025-05-14","context-1m-2025-08-07"],"max_tokens":1}`, nil},
		{"betas that Bedrock does not know", `{"max_tokens":1}`, "claude-code-20250219,oauth-2025-04-20,files-api-2025-04-14,never-heard-2027-01-01",
			v + `,"max_tokens":1}`, []string{"files-api-2025-04-14", "never-heard-2027-01-01"}},
		{"a field with its beta", `{"context_management":{"edits":[]},"output_config":{"effort":"high"},"max_tokens":1}`, "context-management-2025-06-27,effort-2025-11-24",
			v + `,"anthropic_beta":["context-management-2025-06-27","effort-2025-11-24"],"context_management":{"edits":[]},"output_config":{"effort":"high"},"max_tokens":1}`, nil},
		{"a field whose beta is dropped", `{"context_management":{"edits":[]},"max_tokens":1}`, "context-management-2099-01-01",
			v + `,"max_tokens":1}`, []string{"context-management-2099-01-01", "context_management"}},
		{"a field without any beta", `{"output_config":{"effort":"high"},"max_tokens":1}`, "", v + `,"output_config":{"effort":"high"},"max_tokens":1}`, nil},
		{"fields that Bedrock never takes", `{"service_tier":"auto","container":"c","mcp_servers":[{}],"speed":"fast","inference_geo":"us","max_tokens":1}`, "mcp-client-2025-11-20",
			v + `,"max_tokens":1}`, []string{"mcp-client-2025-11-20", "service_tier", "container", "mcp_servers", "speed", "inference_geo"}},
		{"tool search by its name there", `{"tools":[{"name":"a","defer_loading":true,"input_schema":{"defer_loading":1}}]}`, "advanced-tool-use-2025-11-20",
			v + `,"anthropic_beta":["tool-search-tool-2025-10-19"],"tools":[{"name":"a","defer_loading":true,"input_schema":{"defer_loading":1}}]}`, nil},
		{"examples of tools by their name there", `{"tools":[{"name":"a","input_examples":[{}],"defer_loading":true}]}`, "advanced-tool-use-2025-11-20",
			v + `,"anthropic_beta":["tool-search-tool-2025-10-19","tool-examples-2025-10-29"],"tools":[{"name":"a","input_examples":[{}],"defer_loading":true}]}`, nil},
		{"examples of tools alone", `{"tools":[{"name":"a","input_examples":[{}]}]}`, "advanced-tool-use-2025-11-20",
			v + `,"anthropic_beta":["tool-examples-2025-10-29"],"tools":[{"name":"a","input_examples":[{}]}]}`, nil},
		{"tool search without a tool to find", `{"tools":[{"name":"a"}]}`, "advanced-tool-use-2025-11-20", v + `,"tools":[{"name":"a"}]}`, nil},
		{"tool streaming under another date", `{"tools":[{"name":"a","eager_input_streaming":true},{"eager_input_streaming":false,"name":"b"}]}`, "fine-grained-tool-streaming-2099-01-01",
			v + `,"tools":[{"name":"a"},{"name":"b"}]}`, []string{"fine-grained-tool-streaming-2099-01-01", "tools.*.eager_input_streaming"}},
		{"a server tool beside others", `{"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"web_search_2","input_schema":{}},{"type":"bash_20250124","name":"bash"}],"tool_choice":{"type":"auto"}}`, "",
			v + `,"tools":[{"name":"web_search_2","input_schema":{}},{"type":"bash_20250124","name":"bash"}],"tool_choice":{"type":"auto"}}`, []string{"tools.web_search"}},
		{"a server tool that must not be used", `{"tools":[{"type":"code_execution_20250825","name":"code_execution"}],"tool_choice":{"type":"none"}}`, "",
			v + ` }`, []string{"tools.code_execution", "tools", "tool_choice"}},
		{"a server tool with a name that is no header's", `{"tools":[{"type":"web_search_20250305","name":"a\r\nx: y"},{"name":"a"}]}`, "", v + `,"tools":[{"name":"a"}]}`, []string{"tools"}},
		{"words about a server tool", `{"system":"\"web_search_20250305\"","tools":[{"name":"a"}]}`, "", v + `,"system":"\"web_search_20250305\"","tools":[{"name":"a"}]}`, nil},
		{"the scope of a cache",
			`{"system":[{"type":"text","text":"\"scope\"","cache_control":{"type":"ephemeral","scope":"global","ttl":"1h"}}],"tools":[{"cache_control":{"scope":"global"},"input_schema":{"cache_control":{"scope":1}}}],"messages":[{"role":"user","content":"scope"},{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","cache_control":{"type":"ephemeral","scope":"global"}}]},{"cache_control":{"type":"ephemeral"}}]}]}`,
			"prompt-caching-scope-2026-01-05",
			v + `,"system":[{"type":"text","text":"\"scope\"","cache_control":{"type":"ephemeral","ttl":"1h"}}],"tools":[{"cache_control":{},"input_schema":{"cache_control":{"scope":1}}}],"messages":[{"role":"user","content":"scope"},{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","cache_control":{"type":"ephemeral"}}]},{"cache_control":{"type":"ephemeral"}}]}]}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, answers(200, "", wholeMessage))
			r := request(t, tt.body, false)
			r.Model = "claude-sonnet-4-5"
			if tt.betas != "" {
				r.Header.Set("Anthropic-Beta", tt.betas)
			}
			got := send(t, s.provider(t), r)
			if got.err != nil {
				t.Fatal(got.err)
			}
			sent := s.requests()[0].body
			if sent != tt.want {
				t.Errorf("sent\n%s, want\n%s", sent, tt.want)
			}
			if !json.Valid([]byte(sent)) {
				t.Error("what was sent is no JSON")
			}
			if !slices.Equal(got.stream.Degraded, tt.degraded) {
				t.Errorf("degraded %q, want %q", got.stream.Degraded, tt.degraded)
			}
		})
	}
}

func TestRequestThatIsNoObject(t *testing.T) {
	s := serve(t, answers(200, "", wholeMessage))
	for _, body := range []string{``, `[]`, `{"a":1`, `{} {}`, `"x"`} {
		r := &providers.Request{Header: http.Header{}, Model: "claude-sonnet-4-5", Body: providers.NewBody([]byte(body), nil)}
		if e := wantError(t, send(t, s.provider(t), r).err, providers.ClassInvalid); e.Status != 400 {
			t.Errorf("%q: status %d", body, e.Status)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// Without its tool a model would make up what the tool brings.
func TestServerToolsThatAreMeantAreRefused(t *testing.T) {
	s := serve(t, answers(200, "", wholeMessage))
	for body, want := range map[string]string{
		`{"tools":[{"type":"web_search_20250305","name":"web_search"}]}`:                                                                `tools: the tool "web_search"`,
		`{"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}],"tool_choice":{"type":"tool","name":"web_fetch"}}`:                 `tool_choice: the tool "web_fetch"`,
		`{"tools":[{"name":"a"},{"name":"web_search","type":"web_search_20260209"}],"tool_choice":{"type":"tool","name":"web_search"}}`: `tool_choice: the tool "web_search"`,
	} {
		e := wantError(t, send(t, s.provider(t), request(t, body, false)).err, providers.ClassInvalid)
		if e.Status != 400 || !strings.Contains(e.Error(), want) {
			t.Errorf("%s: %d %v, want %s", body, e.Status, e, want)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestPathAndHeaders(t *testing.T) {
	const profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab/c d"
	keysInEnvironment(t)
	for _, tt := range []struct {
		model  string
		stream bool
		want   string
	}{
		{"claude-sonnet-4-5-20250929", true, "/vpc/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream"},
		{"claude-sonnet-4-5-20250929", false, "/vpc/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"},
		{"eu.anthropic.claude-opus-4-6-v1", false, "/vpc/model/eu.anthropic.claude-opus-4-6-v1/invoke"},
		{profile, true, "/vpc/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fab%2Fc%20d/invoke-with-response-stream"},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "stream") {
				streams(wire(started, text0, delta0, stop0, finished, stopped))(w, r)
				return
			}
			answers(200, "", wholeMessage)(w, r)
		})
		p := newProvider(t, config.Provider{Endpoint: s.URL + "/vpc", Headers: map[string]config.Secret{"x-gateway": config.NewSecret("gatewaySecret")}})
		r := request(t, smallBody, tt.stream)
		r.Model = tt.model
		r.RawQuery = "beta=true"
		for name, value := range map[string]string{"X-Api-Key": "client", "Authorization": "client", "Cookie": "c", "User-Agent": "claude-cli", "Anthropic-Beta": "b", "X-Claude-Code-Session-Id": "s"} {
			r.Header.Set(name, value)
		}
		if got := send(t, p, r); got.err != nil {
			t.Fatal(got.err)
		}
		got := s.requests()[0]
		if got.path != tt.want {
			t.Errorf("path %s, want %s", got.path, tt.want)
		}
		h := got.header
		if a := h.Get("Authorization"); !strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential="+testKeyID+"/") || !strings.Contains(a, "/us-west-2/bedrock/aws4_request") ||
			!strings.Contains(a, "host;") || !strings.Contains(a, "x-amz-security-token") || h.Get("X-Amz-Security-Token") != testToken {
			t.Errorf("authorization %s", a)
		}
		if h.Get("X-Gateway") != "gatewaySecret" || h.Get("Content-Type") != "application/json" {
			t.Errorf("header %v", h)
		}
		for _, name := range []string{"X-Api-Key", "Cookie", "Anthropic-Beta", "Anthropic-Version", "X-Claude-Code-Session-Id", "Idempotency-Key"} {
			if _, ok := h[name]; ok {
				t.Errorf("%s was sent", name)
			}
		}
		if strings.Contains(h.Get("User-Agent"), "claude") {
			t.Errorf("user agent %q", h.Get("User-Agent"))
		}
	}
}

func TestBearerToken(t *testing.T) {
	keysInEnvironment(t)
	s := serve(t, answers(200, "", wholeMessage))
	if got := send(t, s.provider(t), request(t, smallBody, false)); got.err != nil {
		t.Fatal(got.err)
	}
	if h := s.requests()[0].header; h.Get("Authorization") != "Bearer "+testBearer || h.Get("X-Amz-Security-Token") != "" {
		t.Errorf("header %v", h)
	}
}

// A bearer token in the environment is not shown for a provider that is
// configured to sign.
func TestSignedAlthoughATokenIsExported(t *testing.T) {
	keysInEnvironment(t)
	t.Setenv("AWS_BEARER_TOKEN_BEDROCK", testBearer)
	s := serve(t, answers(200, "", wholeMessage))
	if got := send(t, newProvider(t, config.Provider{Endpoint: s.URL}), request(t, smallBody, false)); got.err != nil {
		t.Fatal(got.err)
	}
	if a := s.requests()[0].header.Get("Authorization"); !strings.HasPrefix(a, "AWS4-HMAC-SHA256 ") {
		t.Errorf("authorization %s", a)
	}
}

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "https://bedrock-runtime.eu-central-1.amazonaws.com"},
		{map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "https://bedrock-runtime-fips.eu-central-1.amazonaws.com"},
		{map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://bedrock-runtime.eu-central-1.api.aws"},
		{map[string]string{"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://vpce.example"}, "https://vpce.example"},
		{map[string]string{"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://vpce.example", "AWS_USE_FIPS_ENDPOINT": "true"}, "https://vpce.example"},
	} {
		for name, value := range tt.env {
			t.Setenv(name, value)
		}
		p := newProvider(t, config.Provider{Region: "eu-central-1", Auth: config.AuthBearer})
		s, err := p.account.session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := endpointOf(t, s); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.env, got, tt.want)
		}
		for name := range tt.env {
			t.Setenv(name, "")
		}
	}
}

// An endpoint and AWS's switches exclude each other: the endpoint wins, and that
// is known.
func TestEndpointOverrulesSwitches(t *testing.T) {
	keysInEnvironment(t)
	s := serve(t, answers(200, "", wholeMessage))
	for _, cfg := range []config.Provider{{Endpoint: s.URL}, {Endpoint: s.URL, Auth: config.AuthBearer}} {
		for env, name := range map[string]string{"AWS_USE_FIPS_ENDPOINT": "use_fips_endpoint", "AWS_USE_DUALSTACK_ENDPOINT": "use_dualstack_endpoint"} {
			t.Setenv(env, "true")
			p := newProvider(t, cfg)
			if err := p.Check(t.Context()); err != nil || !slices.Equal(p.Unapplied(), []string{name}) {
				t.Errorf("%s: %v, %q", env, err, p.Unapplied())
			}
			if got := send(t, p, request(t, smallBody, false)); got.err != nil {
				t.Errorf("%s: %v", env, got.err)
			}
			t.Setenv(env, "")
		}
	}
}

// Whoever shows a token needs none of AWS's files.
func TestBearerReadsNoFiles(t *testing.T) {
	settings(t, "[broken", "[broken")
	t.Setenv("AWS_PROFILE", "nobody")
	s := serve(t, answers(200, "", wholeMessage))
	p := s.provider(t)
	if err := p.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if got := send(t, p, request(t, smallBody, false)); got.err != nil {
		t.Error(got.err)
	}
}

// nowhere is a client that sends nothing but remembers where it would have.
type nowhere struct{ url string }

func (n *nowhere) Do(r *http.Request) (*http.Response, error) {
	n.url = r.URL.Scheme + "://" + r.URL.Host
	return nil, errors.New("not sent")
}

func endpointOf(t *testing.T, s *session) string {
	var n nowhere
	_, err := s.client.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String("m"), Body: []byte("{}")}, func(o *bedrockruntime.Options) {
		o.HTTPClient = &n
		o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: testBearer}}
	})
	if n.url == "" {
		t.Fatal(err)
	}
	return n.url
}

func TestCountTokens(t *testing.T) {
	s := serve(t, answers(200, "", `{"inputTokens":42}`))
	for _, tt := range []struct{ model, path, body string }{
		{"claude-sonnet-4-5", "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens", `{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[]}`},
		{"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-6-v1", "/model/anthropic.claude-opus-4-6-v1/count-tokens",
			`{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[]}`},
	} {
		r := request(t, `{"model":"m","messages":[]}`, false)
		r.Endpoint, r.Model = providers.CountTokens, tt.model
		got := send(t, s.provider(t), r)
		if got.err != nil || got.bytes != `{"input_tokens":42}` {
			t.Fatalf("got %q, %v", got.bytes, got.err)
		}
		sent := s.requests()[len(s.requests())-1]
		var body struct {
			Input struct{ InvokeModel struct{ Body []byte } }
		}
		if err := json.Unmarshal([]byte(sent.body), &body); err != nil || sent.path != tt.path || string(body.Input.InvokeModel.Body) != tt.body {
			t.Errorf("%s %s: %q, %v", sent.path, sent.body, body.Input.InvokeModel.Body, err)
		}
	}
}

// Where Bedrock counts no tokens the answer is that of an upstream without the
// endpoint. The account is not to blame, nor is the request.
func TestTokensThatAreNotCounted(t *testing.T) {
	for _, a := range []http.HandlerFunc{
		answers(400, "ValidationException", `{"message":"The provided model doesn't support counting tokens."}`),
		answers(403, "AccessDeniedException", `{"message":"User: x is not authorized to perform: bedrock:CountTokens on resource: y"}`),
	} {
		r := request(t, smallBody, false)
		r.Endpoint = providers.CountTokens
		e := wantError(t, send(t, serve(t, a).provider(t), r).err, providers.ClassInvalid)
		if e.Status != 404 || !strings.Contains(string(e.Body), `"not_found_error"`) || e.Renewed {
			t.Errorf("%d %s", e.Status, e.Body)
		}
	}
	r := request(t, smallBody, false)
	r.Endpoint = providers.CountTokens
	p := serve(t, answers(400, "ValidationException", `{"message":"messages: Field required"}`)).provider(t)
	if e := wantError(t, send(t, p, r).err, providers.ClassInvalid); e.Status != 400 {
		t.Errorf("status %d", e.Status)
	}
}

func TestModelID(t *testing.T) {
	for _, tt := range []struct{ name, region, want string }{
		{"claude-sonnet-4-5-20250929", "us-west-2", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"},
		{"claude-sonnet-4-5", "eu-west-1", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"},
		{"claude-sonnet-4-5", "ap-northeast-1", "jp.anthropic.claude-sonnet-4-5-20250929-v1:0"},
		{"claude-sonnet-4-5", "ap-southeast-2", "au.anthropic.claude-sonnet-4-5-20250929-v1:0"},
		{"claude-sonnet-4-5", "ap-south-1", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"},
		{"claude-sonnet-4-5", "sa-east-1", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"},
		{"claude-sonnet-4-5", "us-gov-west-1", "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"},
		{"claude-sonnet-4-20250514", "ap-northeast-1", "apac.anthropic.claude-sonnet-4-20250514-v1:0"},
		{"claude-opus-4-5", "ap-northeast-1", "global.anthropic.claude-opus-4-5-20251101-v1:0"},
		{"claude-opus-4-1", "us-east-1", "us.anthropic.claude-opus-4-1-20250805-v1:0"},
		{"claude-opus-4-1", "eu-west-1", "anthropic.claude-opus-4-1-20250805-v1:0"},
		{"claude-haiku-4-5-20251001", "eu-central-1", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"},
		{"claude-3-5-sonnet-20241022", "us-east-1", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"},
		{"claude-3-7-sonnet-latest", "ap-south-1", "apac.anthropic.claude-3-7-sonnet-20250219-v1:0"},
		{"claude-opus-4-6", "us-east-1", "us.anthropic.claude-opus-4-6-v1"},
		{"claude-sonnet-4-6", "eu-west-1", "eu.anthropic.claude-sonnet-4-6"},
		{"claude-opus-5-5", "ap-northeast-3", "jp.anthropic.claude-opus-5-5"},
		{"claude-sonnet-5-5", "ca-central-1", "global.anthropic.claude-sonnet-5-5"},
		{"anthropic.claude-sonnet-4-20250514-v1:0", "us-east-1", "anthropic.claude-sonnet-4-20250514-v1:0"},
		{"global.anthropic.claude-opus-5-5", "us-east-1", "global.anthropic.claude-opus-5-5"},
		{"arn:aws:bedrock:us-east-1:1:application-inference-profile/x", "eu-west-1", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"},
		{"amazon.nova-pro-v1:0", "us-east-1", "amazon.nova-pro-v1:0"},
	} {
		if got := modelID(tt.name, tt.region); got != tt.want {
			t.Errorf("%s in %s: %s, want %s", tt.name, tt.region, got, tt.want)
		}
	}
}

func TestFoundationID(t *testing.T) {
	for id, want := range map[string]string{
		"us.anthropic.claude-sonnet-4-5-20250929-v1:0":     "anthropic.claude-sonnet-4-5-20250929-v1:0",
		"us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0": "anthropic.claude-sonnet-4-5-20250929-v1:0",
		"anthropic.claude-opus-4-6-v1":                     "anthropic.claude-opus-4-6-v1",
		"arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0": "anthropic.claude-sonnet-4-5-20250929-v1:0",
		"arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-4-6-v1":                              "anthropic.claude-opus-4-6-v1",
		"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc":                              "",
	} {
		if got := foundationID(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

// What a model refuses is left out of the next request, which is made at once.
func TestRefusalsAreLearnt(t *testing.T) {
	const betas = "interleaved-thinking-2025-05-14,context-management-2025-06-27"
	const body = `{"model":"claude-sonnet-4-5","context_management":{"edits":[]},"metadata":{"user_id":"u"},"thinking":{"type":"enabled","display":"omitted"},"tools":[{"name":"a","strict":true}],"max_tokens":1,"messages":[]}`
	for _, tt := range []struct {
		name, refusal string
		gone          []string // of the next request
		kept          []string
	}{
		{"no beta in particular", "invalid beta flag", []string{"interleaved", "context-management", "context_management"}, []string{"metadata"}},
		{"one by its name", "Unexpected value context-management-2025-06-27: invalid beta flag", []string{"context-management", "context_management"}, []string{"interleaved"}},
		{"a field", "metadata: Extra inputs are not permitted", []string{"metadata"}, []string{"interleaved", "context_management"}},
		{"fields inside", "thinking.enabled.display: Extra inputs are not permitted\ntools.0.custom.strict: Extra inputs are not permitted", []string{"display", "strict"}, []string{`"thinking":{"type":"enabled"}`, `"tools":[{"name":"a"}]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused := false
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if !refused {
					refused = true
					message, _ := json.Marshal(map[string]string{"message": wrapped + tt.refusal})
					answers(400, "ValidationException", string(message))(w, r)
					return
				}
				answers(200, "", wholeMessage)(w, r)
			})
			p := s.provider(t)
			r := request(t, body, false)
			r.Header.Set("Anthropic-Beta", betas)
			if e := wantError(t, send(t, p, r).err, providers.ClassInvalid); !e.Renewed {
				t.Error("another attempt is not offered")
			}
			for range 2 {
				if got := send(t, p, r); got.err != nil {
					t.Fatal(got.err)
				}
			}
			for _, sent := range s.requests()[1:] {
				for _, text := range tt.gone {
					if strings.Contains(sent.body, text) {
						t.Errorf("%s is sent again: %s", text, sent.body)
					}
				}
				for _, text := range tt.kept {
					if !strings.Contains(sent.body, text) {
						t.Errorf("%s is missing: %s", text, sent.body)
					}
				}
			}
		})
	}
}

// An exception of a stream teaches as much as a refusal of the whole request.
func TestRefusalsInStreamsAreLearnt(t *testing.T) {
	refused := false
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer := streams(wire(started, text0, delta0, stop0, finished, stopped))
		if !refused {
			refused = true
			answer = streams(exception("validationException", `{"message":"`+wrapped+`metadata: Extra inputs are not permitted"}`))
		}
		answer(w, r)
	})
	p := s.provider(t)
	r := request(t, `{"model":"claude-sonnet-4-5","metadata":{"user_id":"u"},"max_tokens":1,"messages":[]}`, true)
	got := send(t, p, r)
	if e := wantError(t, got.last.Err, providers.ClassInvalid); !e.Renewed {
		t.Error("another attempt is not offered")
	}
	if got = send(t, p, r); got.err != nil || got.last.Kind != providers.End || strings.Contains(s.requests()[1].body, "metadata") {
		t.Errorf("%v: %s", got.err, s.requests()[1].body)
	}
}

// A beta that has worked is not suspected, another model's refusal is its own.
func TestProvenBetasAreKept(t *testing.T) {
	var k knowledge
	header := func(betas string) http.Header { return http.Header{"Anthropic-Beta": {betas}} }
	first := k.plan("m", header("interleaved-thinking-2025-05-14"), []byte(`{}`))
	k.proven("m", first)
	both := header("interleaved-thinking-2025-05-14,context-1m-2025-08-07")
	if !k.refused("m", k.plan("m", both, []byte(`{}`)), "invalid beta flag", time.Now()) {
		t.Error("nothing was learnt")
	}
	if got := k.plan("m", both, []byte(`{}`)).betas; !reflect.DeepEqual(got, []string{"interleaved-thinking-2025-05-14"}) {
		t.Errorf("betas %q", got)
	}
	if got := k.plan("n", both, []byte(`{}`)).betas; len(got) != 2 {
		t.Errorf("betas of another model %q", got)
	}
	if last := k.plan("m", both, []byte(`{}`)); !k.refused("m", last, "invalid beta flag", time.Now()) || len(k.plan("m", both, []byte(`{}`)).betas) != 0 {
		t.Error("a proven beta that is refused after all is kept")
	}
	if k.refused("m", k.plan("m", both, []byte(`{}`)), "invalid beta flag", time.Now()) {
		t.Error("there was nothing left to learn")
	}
	for _, message := range []string{"messages: Extra inputs are not permitted", "max_tokens: Field required", "prompt is too long"} {
		if k.refused("m", first, message, time.Now()) {
			t.Errorf("%q taught something", message)
		}
	}
}

// Names of models are the clients': what is kept of them is bounded.
func TestKnowledgeIsBounded(t *testing.T) {
	var k knowledge
	for i := range 3 * maxModels {
		k.proven(strings.Repeat("m", i+1), plan{betas: []string{"b"}})
	}
	if len(k.models) > maxModels {
		t.Errorf("%d models are kept", len(k.models))
	}
}

// Names that clients make up push nothing out of what has been learnt.
func TestMadeUpModelsLeaveKnowledgeAlone(t *testing.T) {
	var k knowledge
	body := []byte(smallBody)
	header := http.Header{"Anthropic-Beta": {"context-1m-2025-08-07"}}
	k.refused("real", k.plan("real", header, body), "invalid beta flag", time.Now())
	for i := range 2 * maxModels {
		name := "made-up-" + strconv.Itoa(i)
		p := k.plan(name, header, body)
		k.refused(name, p, "The provided model identifier is invalid.", time.Now())
	}
	if p := k.plan("real", header, body); len(p.betas) != 0 {
		t.Errorf("asks for %v again", p.betas)
	}
}
