package bedrock

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"anyproxy/config"
	"anyproxy/providers"
)

func TestFailures(t *testing.T) {
	const (
		invalidType  = "invalid_request_error"
		role         = "arn:aws:sts::123456789012:assumed-role/Dev/alice"
		profile      = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x"
		signatureHex = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	)
	for _, tt := range []struct {
		name              string
		status            int
		exception, said   string // what AWS says
		class             providers.Class
		want              int
		kind, told        string // what the client is told
		operator, notSaid string // in the error's text, and not
	}{
		{"throttled", 429, "ThrottlingException", "Too many requests, please wait before trying again.", providers.ClassRateLimited, 429,
			"rate_limit_error", "Too many requests, please wait before trying again.", "Too many requests", ""},
		{"quota", 400, "ServiceQuotaExceededException", "Too many tokens per day", providers.ClassRateLimited, 429, "rate_limit_error", "Too many tokens per day", "", ""},
		{"not ready", 429, "ModelNotReadyException", "Model is not ready", providers.ClassOverloaded, 503, "overloaded_error", "Model is not ready", "", ""},
		{"unavailable", 503, "ServiceUnavailableException", "Bedrock is unable to process your request.", providers.ClassOverloaded, 503,
			"overloaded_error", "Bedrock is unable to process your request.", "", ""},
		{"timeout", 408, "ModelTimeoutException", "Model has timed out", providers.ClassTimeout, 504, "timeout_error", "Model has timed out", "", ""},
		{"model error", 424, "ModelErrorException", "The model failed", providers.ClassServer, 500, "api_error", "The model failed", "", ""},
		{"internal", 500, "InternalServerException", "Oops", providers.ClassServer, 500, "api_error", "Oops", "", ""},
		{"validation", 400, "ValidationException", wrapped + "messages.1.content.0: Invalid `signature` in `thinking` block", providers.ClassInvalid, 400,
			invalidType, "messages.1.content.0: Invalid `signature` in `thinking` block", "", ""},
		{"too long", 400, "ValidationException", wrapped + "Input is too long for requested model.", providers.ClassInvalid, 400,
			invalidType, "prompt is too long: Input is too long for requested model.", "", ""},
		{"too long in the API's words", 400, "ValidationException", wrapped + "prompt is too long: 210118 tokens > 200000 maximum", providers.ClassInvalid, 400,
			invalidType, "prompt is too long: 210118 tokens > 200000 maximum", "", ""},
		{"no such model", 404, "ResourceNotFoundException", "Could not resolve " + profile, providers.ClassInvalid, 404,
			"not_found_error", "Could not resolve ••••••", "inference-profile/us.anthropic.claude-x", "123456789012"},
		{"denied", 403, "AccessDeniedException", "User: " + role + " is not authorized to perform: bedrock:InvokeModel on resource: " + profile + " because no identity-based policy allows it", providers.ClassCredential, 403,
			"permission_error", "User: •••••• is not authorized to perform: bedrock:InvokeModel on resource: •••••• because no identity-based policy allows it", "assumed-role/Dev/alice", "123456789012"},
		{"a signature", 403, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'POST\n/model/x\n\nx-amz-security-token:" + testToken + "\n\n" + signatureHex + "'", providers.ClassCredential, 403,
			"permission_error", "The request signature we calculated does not match the signature you provided.", "does not match", "Canonical"},
		{"a hash alone", 403, "InvalidSignatureException", "Signature " + signatureHex + " is old", providers.ClassCredential, 403, "permission_error", "Signature •••••• is old", "is old", signatureHex},
		{"an account alone", 403, "OptInRequired", "Account 123456789012 is not subscribed", providers.ClassCredential, 403, "permission_error", "Account •••••• is not subscribed", "", ""},
		{"a token", 403, "UnrecognizedClientException", "The token " + testBearer + " is invalid", providers.ClassCredential, 403, "permission_error", "The token •••••• is invalid", "", testBearer},
		{"no such name", 400, "ValidationException", "The provided model identifier is invalid.", providers.ClassNoModel, 404, "not_found_error",
			"The provided model identifier is invalid.", "this region has no us.anthropic.claude-sonnet-4-5-20250929-v1:0", ""},
		{"no throughput", 400, "ValidationException", "Invocation of model ID anthropic.claude-x with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
			providers.ClassNoModel, 404, "not_found_error", "Invocation of model ID anthropic.claude-x with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
			"such as us.anthropic.claude-sonnet-4-5-20250929-v1:0 or global.anthropic.claude", ""},
		{"no access to one model", 403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", providers.ClassNoModel, 403, "permission_error",
			"You don't have access to the model with the specified model ID.", "request access to it in the Bedrock console", ""},
		{"an old model", 404, "ResourceNotFoundException", "This model version has reached the end of its life.", providers.ClassNoModel, 404, "not_found_error",
			"This model version has reached the end of its life.", "end of its life", ""},
		{"unauthorized", 401, "", "no", providers.ClassCredential, 403, "permission_error", "no", "", ""},
		{"without a name", 429, "", "slow down", providers.ClassRateLimited, 429, "rate_limit_error", "slow down", "", ""},
		{"of a gateway", 413, "", "too large", providers.ClassInvalid, 413, "request_too_large", "too large", "", ""},
		{"another 4xx", 409, "ConflictException", "Conflict", providers.ClassInvalid, 409, invalidType, "Conflict", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body, _ := json.Marshal(map[string]string{"message": tt.said})
			for _, stream := range []bool{false, true} {
				s := serve(t, answers(tt.status, tt.exception, string(body)))
				e := wantError(t, send(t, s.provider(t), request(t, smallBody, stream)).err, tt.class)
				var got struct {
					Type  string
					Error struct{ Type, Message string }
				}
				if err := json.Unmarshal(e.Body, &got); err != nil {
					t.Fatalf("body %q: %v", e.Body, err)
				}
				if e.Status != tt.want || got.Type != "error" || got.Error.Type != tt.kind || got.Error.Message != tt.told {
					t.Errorf("status %d, body %s", e.Status, e.Body)
				}
				if text := e.Error(); !strings.Contains(text, tt.operator) || tt.notSaid != "" && strings.Contains(text+string(e.Body), tt.notSaid) {
					t.Errorf("the operator reads %q", text)
				}
				for name := range e.Header {
					if strings.HasPrefix(name, "X-Amz") {
						t.Errorf("the client is sent %s", name)
					}
				}
				if e.Header.Get("Request-Id") == "" || e.Renewed {
					t.Errorf("header %v, renewed %v", e.Header, e.Renewed)
				}
			}
		})
	}
}

// Where AWS's names stand besides the header.
func TestExceptionNames(t *testing.T) {
	for body, class := range map[string]providers.Class{
		`{"__type":"com.amazon.coral.service#ThrottlingException","message":"m"}`: providers.ClassRateLimited,
		`{"code":"ServiceUnavailableException","Message":"m"}`:                    providers.ClassOverloaded,
		`{"message":"m","originalStatusCode":429,"originalMessage":"slow"}`:       providers.ClassRateLimited,
	} {
		s := serve(t, answers(500, "", body))
		if e := wantError(t, send(t, s.provider(t), request(t, smallBody, false)).err, class); e.Body == nil {
			t.Errorf("%s: no body", body)
		}
	}
}

// An error that is no JSON is told to the operator only.
func TestErrorThatIsNoJSON(t *testing.T) {
	s := serve(t, answers(502, "", "<html>bad gateway</html>"))
	e := wantError(t, send(t, s.provider(t), request(t, smallBody, false)).err, providers.ClassServer)
	if e.Body != nil || !strings.Contains(e.Error(), "bad gateway") {
		t.Errorf("%v, body %q", e, e.Body)
	}
}

func TestErrorsInOtherShapesTellNothingOfTheAccount(t *testing.T) {
	const role = `arn:aws:iam::123456789012:role\/hidden`
	const said = `{"type":"error","error":{"type":"invalid_request_error","message":"\"` + role + `\" of 123456789012 may not"}}`
	const want = `{"type":"error","error":{"type":"invalid_request_error","message":"\"••••••\" of •••••• may not"}}`
	for name, answer := range map[string]http.HandlerFunc{
		"the API's":       answers(400, "", said),
		"with status 200": answers(200, "", said),
	} {
		for _, stream := range []bool{false, true} {
			e := wantError(t, send(t, serve(t, answer).provider(t), request(t, smallBody, stream)).err, providers.ClassInvalid)
			if string(e.Body) != want {
				t.Errorf("%s, stream %t: told %s", name, stream, e.Body)
			}
		}
	}
	if r := send(t, serve(t, streams(chunk(started), chunk(said))).provider(t), request(t, smallBody, true)); !strings.HasSuffix(r.bytes, "data: "+want+"\n\n") {
		t.Errorf("in a chunk: told %s", r.bytes)
	}
	e := wantError(t, send(t, serve(t, answers(404, "", `{"detail":"`+role+`"}`)).provider(t), request(t, smallBody, true)).err, providers.ClassInvalid)
	if string(e.Body) != `{"detail":"••••••"}` {
		t.Errorf("a gateway's: told %s", e.Body)
	}
}

func TestErrorThatIsNoJSONQuotesNoToken(t *testing.T) {
	keysInEnvironment(t)
	s := serve(t, answers(502, "", "<p>cannot forward x-amz-security-token: "+testToken+" of arn:aws:iam::123456789012:role/x</p>"))
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	e := wantError(t, send(t, p, request(t, smallBody, true)).err, providers.ClassServer)
	if text := e.Error(); strings.Contains(text, testToken) || strings.Contains(text, "123456789012") || !strings.Contains(text, "cannot forward") {
		t.Errorf("error %s", text)
	}
}
