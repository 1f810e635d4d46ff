package cli

import (
	"fmt"
	"strings"
)

// byKey and byProfile make a provider of type bedrock of a, whose answers are
// then in no format that is understood: what counts is what it is sent.
var (
	byKey     = []string{"endpoint: A,", "type: bedrock, region: us-west-2, endpoint: A,"}
	byProfile = []string{"endpoint: A, apiKey: upstream-key-of-a", "type: bedrock, region: us-west-2, profile: one, endpoint: A"}
)

// asksFor sees which inference profile a is asked for.
func asksFor(w *keyWorld) string {
	with("X-Anyproxy-Provider", "a")(w)
	all := w.a.Requests()
	profile, _, _ := strings.Cut(strings.TrimPrefix(all[len(all)-1].Path, "/model/"), ".")
	return profile
}

// signedBy sees whose key signs what a is sent.
func signedBy(w *keyWorld) string {
	with("X-Anyproxy-Provider", "a")(w)
	all := w.a.Requests()
	_, scope, _ := strings.Cut(all[len(all)-1].Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(scope, "/")
	return key
}

// reachesA sees whether a is sent anything.
func reachesA(w *keyWorld) string {
	before := len(w.a.Requests())
	with("X-Anyproxy-Provider", "a")(w)
	return fmt.Sprint(len(w.a.Requests()) > before)
}

func init() {
	keyCases["providers.*.region"] = keyCase{base: byKey, change: []string{"us-west-2", "eu-west-1"}, see: asksFor, was: "us", is: "eu"}
	keyCases["providers.*.profile"] = keyCase{base: byProfile, change: []string{"profile: one", "profile: two"}, see: signedBy, was: "AKIDOFPROFILEone", is: "AKIDOFPROFILEtwo"}
	// The role cannot be had: nobody answers there.
	keyCases["providers.*.roleArn"] = keyCase{base: byProfile, change: []string{"profile: one", `profile: one, roleArn: "arn:aws:iam::123456789012:role/x"`}, see: reachesA, was: "true", is: "false"}
}
