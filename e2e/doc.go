// Package e2e drives the real clients, Claude Code and the official TypeScript
// SDK, through a freshly built anyproxy against scripted upstreams on loopback:
//
//	go test -tags e2e -count=1 -v ./e2e/
//
// The clients come from npm, pinned by package-lock.json, and are kept in
// $ANYPROXY_E2E_CACHE or the user's cache folder. Where npm cannot be reached
// and nothing is kept, the scenarios are skipped and their number is said.
// Every client has a home of its own and proxy settings that lead to a trap, so
// that Claude Code's connection to anywhere but loopback fails the test. (Node's
// own fetch, under the SDK, does not read them; it knows no other address.)
//
// ANYPROXY_E2E_RECORD=1 records the shapes of package shapes anew.
package e2e
