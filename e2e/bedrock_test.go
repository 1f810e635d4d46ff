//go:build e2e && unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

const (
	awsKeyID  = "AKIAE2EE2EE2EE2EE2EE"
	awsSecret = "e2eSecretAccessKey0123456789abcdefghijk"
)

// startBedrock serves Claude's models as Bedrock does and checks the signature
// of every request.
func startBedrock(t *testing.T) *simulator.Upstream {
	t.Helper()
	account := &simulator.AWS{Region: "us-west-2", Keys: func(id string) (simulator.AWSKey, bool) {
		return simulator.AWSKey{Secret: awsSecret}, id == awsKeyID
	}}
	u, err := simulator.Start(context.Background(), simulator.Options{Script: simulator.Conversation(simulator.Answer{}), AWS: account})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// The client has no retries of its own here: while Anthropic limits it, every
// turn must come from Bedrock within the first request.
func TestClaudeCodeGoesOnAtBedrock(t *testing.T) {
	for name, c := range turns {
		t.Run(name, func(t *testing.T) {
			needClients(t)
			t.Parallel()
			limited := simulator.Answer{Faults: []simulator.Fault{simulator.RateLimited(time.Minute)}}
			first, second := startUpstream(t, simulator.Always(limited)), startBedrock(t)
			proxy := startConfigured(t, fmt.Sprintf(`providers:
  first:  {endpoint: %q, apiKey: %s}
  second: {type: bedrock, region: us-west-2, endpoint: %q}
models:
  - {alias: "claude-*", provider: first, tier: 1}
  - {alias: "claude-*", provider: second, tier: 2}
`, first.URL(), upstreamKey("first"), second.URL()),
				"AWS_ACCESS_KEY_ID="+awsKeyID, "AWS_SECRET_ACCESS_KEY="+awsSecret)
			c.check(t, newClient(t, proxy))
			checkRequests(t, "first", first, 1, c.asks) // whether it is tried again is a matter of routing
			checkBedrock(t, second, c.asks)
		})
	}
}

// checkBedrock checks that the upstream was asked for one stream per turn of
// the client, by Bedrock's names, and saw nothing of the client's own. A
// request that it refuses teaches the proxy what to leave out.
func checkBedrock(t *testing.T, u *simulator.Upstream, turns int) {
	t.Helper()
	asked := u.Requests()
	if len(asked) < turns || len(asked) > turns+1 {
		t.Errorf("Bedrock got %d requests, want %d, and one more at most", len(asked), turns)
	}
	for _, r := range asked {
		if !strings.HasPrefix(r.Path, "/model/") || !strings.HasSuffix(r.Path, "/invoke-with-response-stream") || !strings.Contains(r.Path, "anthropic.claude-") {
			t.Errorf("Bedrock got %s %s", r.Method, r.Path)
		}
		if all, _ := json.Marshal(r.Header); strings.Contains(string(all), clientKey) {
			t.Error("Bedrock was shown the client's key")
		}
	}
}
