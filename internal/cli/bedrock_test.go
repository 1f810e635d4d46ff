package cli

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anyproxy/internal/grammar"
	"anyproxy/internal/shapes"
	"anyproxy/internal/simulator"
	"anyproxy/metrics/ledger"
	"anyproxy/providers/credential"
)

const (
	awsKeyID  = "AKIATESTTESTTESTTEST"
	awsSecret = "awsSecretAccessKey0123456789abcdefghijk"
	awsToken  = "awsSessionToken0123456789abcdefghijklmn"
)

// awsAccount knows one key.
func awsAccount(key simulator.AWSKey) *simulator.AWS {
	return &simulator.AWS{Region: "us-west-2", Keys: func(id string) (simulator.AWSKey, bool) { return key, id == awsKeyID }}
}

func exportAWSKey(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", awsKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", awsSecret)
	t.Setenv("AWS_SESSION_TOKEN", awsToken)
}

// bedrockUpstream starts an upstream that checks signatures.
func bedrockUpstream(t *testing.T, account *simulator.AWS, script simulator.Script) *simulator.Upstream {
	t.Helper()
	u, err := simulator.Start(context.Background(), simulator.Options{Script: script, AWS: account})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// bedrockProvider is a line of a configuration's providers, its requests signed.
func bedrockProvider(name string, u *simulator.Upstream) string {
	return fmt.Sprintf("  %s: {type: bedrock, region: us-west-2, endpoint: %q, timeouts: {firstByte: 2s, idle: 2s, total: 10s}}\n", name, u.URL())
}

func anthropicProvider(name string, u *simulator.Upstream) string {
	return fmt.Sprintf("  %s: {endpoint: %q, apiKey: upstream-key-of-%s}\n", name, u.URL(), name)
}

// tiered configures providers, given as lines, in tiers by their order.
func tiered(t *testing.T, providers ...string) string {
	var models strings.Builder
	for i, p := range providers {
		name, _, _ := strings.Cut(strings.TrimSpace(p), ":")
		fmt.Fprintf(&models, "  - {alias: \"claude-*\", provider: %s, tier: %d}\n", name, i+1)
	}
	return writeFile(t, "config.yaml", "providers:\n"+strings.Join(providers, "")+"models:\n"+models.String())
}

// silentAbout fails the test if the program said one of the secrets, or the
// client was told one.
func (r *running) silentAbout(t *testing.T, told []byte, secrets ...string) {
	t.Helper()
	all := r.out.String() + r.errw.String() + string(told)
	for _, s := range secrets {
		if strings.Contains(all, s) {
			t.Errorf("%q was said: %s", s, all)
		}
	}
}

func TestBedrockTakesOver(t *testing.T) {
	exportAWSKey(t)
	for _, stream := range []bool{true, false} {
		a := upstream(t, simulator.Always(faulty(simulator.RateLimited(30e9))))
		b := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), simulator.Always(good))
		dir := t.TempDir()
		p := start(t, stateIn(dir), "-config", tiered(t, anthropicProvider("a", a), bedrockProvider("b", b)))
		res, body := p.post(t, ask(stream))
		m, err := check(stream, body)
		if err != nil || res.StatusCode != 200 || m.End != grammar.Complete || len(m.Tools()) != 2 || m.StopReason != "tool_use" {
			t.Fatalf("stream %v: %d, %v: %s%s", stream, res.StatusCode, err, body, p.errw.String())
		}
		if res.Header.Get("X-Anyproxy-Provider") != "b" || res.Header.Get("X-Anyproxy-Attempts") != "2" || res.Header.Get("Request-Id") == "" {
			t.Errorf("header %v", res.Header)
		}
		if got := b.Requests(); len(got) != 1 || got[0].Ask().Model != "us.anthropic.claude-sonnet-4-5-20250929-v1:0" || got[0].Ask().Stream != stream {
			t.Errorf("%d requests, %+v", len(got), got[0].Ask())
		}
		p.silentAbout(t, body, awsSecret, awsToken)
		p.end(t)
		rows := ofKind(ledgerRows(t, dir), ledger.KindCredential)
		if len(rows) != 1 || rows[0].Provider != "b" || rows[0].Outcome != "renewed" || rows[0].KeySHA256 != credential.Fingerprint(awsKeyID) {
			t.Errorf("the ledger has %+v", rows)
		}
	}
}

// What goes wrong at Bedrock before content is the next provider's turn.
func TestBedrockFallsBack(t *testing.T) {
	exportAWSKey(t)
	for name, f := range earlyFaults {
		if f.At == simulator.Events(3) {
			continue // which is content here: there are no pings
		}
		t.Run(name, func(t *testing.T) {
			a := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), simulator.Always(faulty(f)))
			b := upstream(t, simulator.Always(good))
			p := start(t, nil, "-config", tiered(t, bedrockProvider("a", a), anthropicProvider("b", b)))
			res, body := p.post(t, ask(true))
			if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete || res.Header.Get("X-Anyproxy-Provider") != "b" {
				t.Fatalf("%d %v by %s: %s", res.StatusCode, err, res.Header.Get("X-Anyproxy-Provider"), body)
			}
		})
	}
}

func TestBedrockBreaksAfterContent(t *testing.T) {
	exportAWSKey(t)
	for name, f := range map[string]simulator.Fault{
		"reset":     {Kind: simulator.Reset, At: simulator.Deltas(3)},
		"cut":       {Kind: simulator.Cut, At: simulator.Deltas(3)},
		"half":      {Kind: simulator.Cut, At: simulator.Bytes(2000)},
		"garbage":   {Kind: simulator.Garbage, At: simulator.Deltas(3)},
		"exception": simulator.ErrorAt(simulator.Deltas(3), 424, "The system encountered an unexpected error"),
	} {
		t.Run(name, func(t *testing.T) {
			a := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), simulator.Always(faulty(f)))
			b := upstream(t, simulator.Always(good))
			p := start(t, nil, "-config", tiered(t, bedrockProvider("a", a), anthropicProvider("b", b)))
			_, body := p.post(t, ask(true))
			if m, err := grammar.Check(body); err != nil || m.End != grammar.Failed || m.Thinking() == "" || len(b.Requests()) != 0 {
				t.Errorf("%v: %s", err, body)
			}
		})
	}
}

// A signature that the service does not take is never the client's 401, and
// nothing of what AWS quotes gets out.
func TestRefusedSignatures(t *testing.T) {
	good := simulator.AWSKey{Secret: awsSecret, Token: awsToken}
	for name, c := range map[string]struct {
		account *simulator.AWS
		said    string
	}{
		"another secret": {awsAccount(simulator.AWSKey{Secret: "other", Token: awsToken}), "does not match the signature"},
		"another token":  {awsAccount(simulator.AWSKey{Secret: awsSecret, Token: "other"}), "security token included in the request is invalid"},
		"expired":        {awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken, Expired: true}), "is expired"},
		"another region": {&simulator.AWS{Region: "eu-west-1", Keys: func(string) (simulator.AWSKey, bool) { return good, true }}, "scoped to a valid region"},
	} {
		t.Run(name, func(t *testing.T) {
			exportAWSKey(t)
			a := bedrockUpstream(t, c.account, nil)
			p := start(t, nil, "-config", tiered(t, bedrockProvider("a", a)))
			for _, stream := range []bool{true, false} {
				res, body := p.post(t, ask(stream))
				if res.StatusCode != 403 || !strings.Contains(string(body), `"permission_error"`) || !strings.Contains(string(body), c.said) {
					t.Errorf("%d %s", res.StatusCode, body)
				}
				p.silentAbout(t, body, awsSecret, awsToken, "Canonical", "x-amz-security-token")
			}
		})
	}
}

// A model that the account does not have is asked of the next provider, and the
// account's other models go on.
func TestBedrockWithoutOneModel(t *testing.T) {
	exportAWSKey(t)
	for said, status := range map[string]int{"The provided model identifier is invalid.": 400, "You don't have access to the model with the specified model ID.": 403} {
		a := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), func(_ int, r *simulator.Received) simulator.Answer {
			if strings.Contains(r.Ask().Model, "sonnet") {
				return simulator.Answer{Faults: []simulator.Fault{{Reply: simulator.Reply{Status: status, Message: said}}}}
			}
			return good
		})
		b := upstream(t, simulator.Always(good))
		p := start(t, nil, "-config", tiered(t, bedrockProvider("a", a), anthropicProvider("b", b)))
		for range 3 {
			if res, body := p.post(t, ask(true)); res.StatusCode != 200 || res.Header.Get("X-Anyproxy-Provider") != "b" {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		}
		if n := len(a.Requests()); n != 1 {
			t.Errorf("%s: asked %d times", said, n)
		}
		if res, _ := p.post(t, strings.Replace(ask(true), "sonnet", "haiku", 1)); res.Header.Get("X-Anyproxy-Provider") != "a" {
			t.Errorf("%s: the other model is served by %s", said, res.Header.Get("X-Anyproxy-Provider"))
		}
	}
}

// What AWS says of the account is for the operator, with what to do about it. The
// client is told neither whose account it is nor what its parts are called.
func TestBedrockTellsEachWhatIsTheirs(t *testing.T) {
	exportAWSKey(t)
	const account, arn = "123456789012", "arn:aws:sts::123456789012:assumed-role/Dev/me"
	for said, c := range map[string]struct {
		status int
		advice string
	}{
		"User: " + arn + " is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-west-2:" + account + ":inference-profile/x because no identity-based policy allows it": {403, "allow it in IAM"},
		"Invocation of model ID anthropic.claude-sonnet-4-5-20250929-v1:0 with on-demand throughput isn’t supported for " + arn:                                                                     {400, "name an inference profile as the model"},
		"You don't have access to the model with the specified model ID. Account " + account:                                                                                                        {403, "request access to it in the Bedrock console"},
		"This model version has reached the end of its life. Account " + account:                                                                                                                    {404, "name a newer model"},
		"The security token included in the request is expired, " + arn:                                                                                                                             {403, "renew the AWS credentials"},
		"The security token included in the request is invalid. " + arn:                                                                                                                             {403, "check the AWS credentials"},
		"Too many tokens per day for " + account + ", please wait before trying again.":                                                                                                             {429, "Service Quotas"},
	} {
		t.Run(c.advice, func(t *testing.T) {
			a := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), simulator.Always(simulator.Answer{
				Faults: []simulator.Fault{{Reply: simulator.Reply{Status: c.status, Message: said}}}}))
			p := start(t, nil, "-config", tiered(t, bedrockProvider("a", a)))
			for _, stream := range []bool{true, false} {
				res, body := p.post(t, ask(stream))
				if told := fmt.Sprint(res.Header, string(body)); res.StatusCode < 400 || strings.Contains(told, account) || strings.Contains(told, "arn:aws") || strings.Contains(told, "assumed-role") || strings.Contains(told, c.advice) {
					t.Errorf("the client is told %d %s", res.StatusCode, told)
				}
			}
			eventually(t, "the log to say what to do", func() bool { return strings.Contains(p.errw.String(), c.advice) })
			p.silentAbout(t, nil, account)
		})
	}
}

// An SSO session that has ended is told at the start and at each request, with
// the command that begins another. The client does not notice.
func TestEndedSSOSession(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	const url = "https://d.awsapps.com/start"
	sum := sha1.Sum([]byte(url))
	files := map[string]string{
		"config": "[profile work]\nsso_start_url = " + url + "\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = Dev\n",
		filepath.Join(".aws", "sso", "cache", hex.EncodeToString(sum[:])+".json"): `{"startUrl":"` + url + `","region":"us-east-1","accessToken":"anSSOTokenOf1234","expiresAt":"2020-01-01T00:00:00Z"}`,
	}
	for name, text := range files {
		file := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, "config"))
	a, b := bedrockUpstream(t, awsAccount(simulator.AWSKey{}), nil), upstream(t, simulator.Always(good))
	signed := strings.Replace(bedrockProvider("a", a), "type: bedrock,", "type: bedrock, profile: work,", 1)
	p := start(t, nil, "-config", tiered(t, signed, anthropicProvider("b", b)))
	const want = "run aws sso login --profile work"
	eventually(t, "the warning at the start", func() bool { return strings.Contains(p.errw.String(), want) })
	res, body := p.post(t, ask(true))
	if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete || res.Header.Get("X-Anyproxy-Provider") != "b" {
		t.Fatalf("%d %v %s", res.StatusCode, err, body)
	}
	eventually(t, "the log of the request", func() bool { return strings.Count(p.errw.String(), want) > 1 })
	p.silentAbout(t, body, "anSSOTokenOf1234", "123456789012")

	only := start(t, nil, "-config", tiered(t, signed))
	res, body = only.post(t, ask(true))
	if res.StatusCode != 403 || !strings.Contains(string(body), "the configured key of provider a cannot be read") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// A source of credentials that does not answer does not hold up the start.
func TestStartWithASilentSource(t *testing.T) {
	release := make(chan struct{})
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q}`, awsKeyID, awsSecret, awsToken)
	}))
	defer source.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", source.URL)
	a := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), simulator.Always(good))
	p := start(t, nil, "-config", tiered(t, bedrockProvider("a", a)))
	close(release)
	res, body := p.post(t, ask(true))
	if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete {
		t.Errorf("%d %v %s", res.StatusCode, err, body)
	}
}

// What real clients send passes Bedrock's strict list of fields, and what it
// does not take is learnt within one request.
func TestRecordedClientsOnBedrock(t *testing.T) {
	exportAWSKey(t)
	b := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), simulator.Conversation(simulator.Answer{}))
	p := start(t, nil, "-config", tiered(t, bedrockProvider("b", b)))
	for _, s := range shapes.All() {
		if s.Method != "POST" {
			continue
		}
		res, body := p.replay(t, s)
		if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete {
			t.Errorf("%s: %d %v %.300s", s.Name, res.StatusCode, err, body)
		}
	}
	// A beta that is refused costs one attempt, once.
	for i, attempts := range []string{"2", "1"} {
		res, body := p.post(t, ask(true), "Anthropic-Beta", "fine-grained-tool-streaming-2025-05-14")
		if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete || res.Header.Get("X-Anyproxy-Attempts") != attempts {
			t.Errorf("request %d: %d %v after %s attempts: %s", i, res.StatusCode, err, res.Header.Get("X-Anyproxy-Attempts"), body)
		}
	}
}

// Tokens are counted by Bedrock, whose names the client does not see.
func TestBedrockCountsTokens(t *testing.T) {
	exportAWSKey(t)
	a := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), nil)
	p := start(t, nil, "-config", tiered(t, bedrockProvider("a", a)))
	res, err := http.Post(p.base+"/v1/messages/count_tokens", "application/json", strings.NewReader(`{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 || !strings.HasPrefix(string(body), `{"input_tokens":`) || a.Requests()[0].Path != "/model/anthropic.claude-sonnet-4-5-20250929-v1:0/count-tokens" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestExportedBedrockKey(t *testing.T) {
	account := awsAccount(simulator.AWSKey{})
	account.APIKey = "ABSKexportedBedrockKey1234567890"
	a := bedrockUpstream(t, account, simulator.Always(good))
	p := start(t, map[string]string{exportedKey: account.APIKey}, "-config", tiered(t, bedrockProvider("a", a)))
	res, body := p.post(t, ask(true))
	if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete {
		t.Errorf("%d %v %s", res.StatusCode, err, body)
	}
	p.silentAbout(t, body, account.APIKey)
}

func TestDemoShowsBedrock(t *testing.T) {
	file := writeFile(t, "c.yaml", `providers:
  a: {endpoint: "https://a.example", apiKey: env.A}
  b: {type: openai, endpoint: "https://b.example", apiKey: env.B}
  c: {type: bedrock, profile: nobody, roleArn: "arn:aws:iam::123456789012:role/x"}
  d: {type: bedrock, region: eu-west-1}
  e: {endpoint: "https://e.example", auth: passthrough}
models:
  - {alias: "claude-*", provider: a}
  - {alias: "claude-*", provider: b}
  - {alias: "claude-*", provider: c}
  - {alias: "claude-*", provider: d}
  - {alias: "claude-*", provider: e}
`)
	for _, tt := range []struct {
		args  []string
		names []string
	}{
		{[]string{"-demo"}, []string{"anthropic", "openrouter", "bedrock"}},
		{[]string{"-demo", "-config", file}, []string{"a", "b", "c", "d", "e"}},
	} {
		p := start(t, nil, tt.args...)
		for _, name := range tt.names {
			res, body := p.post(t, ask(true), "X-Anyproxy-Provider", name)
			if m, err := grammar.Check(body); res.Header.Get("X-Anyproxy-Provider") != name || res.StatusCode == 200 && (err != nil || m.Model == "") {
				t.Errorf("%s: %d %v %s\n%s", name, res.StatusCode, err, body, p.out.String())
			}
		}
	}
}
