package proxy_test

import "testing"

func TestTracesArePassedOn(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a := newUpstream(t, healthy)
	p := newHarness(t, one, map[string]*upstream{"a": a})
	for _, tt := range []struct {
		header        []string
		parent, state string
	}{
		{[]string{"Traceparent", parent, "Tracestate", "vendor=1"}, parent, "vendor=1"},
		{[]string{"Traceparent", "garbage", "Tracestate", "vendor=1"}, "", ""},
		{[]string{"Tracestate", "vendor=1"}, "", ""},
		{nil, "", ""},
	} {
		p.ask(t, tt.header...)
		all := a.requests()
		h := all[len(all)-1].Header
		if h.Get("Traceparent") != tt.parent || h.Get("Tracestate") != tt.state {
			t.Errorf("%v: the upstream got %q and %q", tt.header, h.Get("Traceparent"), h.Get("Tracestate"))
		}
		want := ""
		if tt.parent != "" {
			want = "4bf92f3577b34da6a3ce929d0e0e4736"
		}
		if got := p.snapshot(t).Requests[0].Trace; got != want {
			t.Errorf("%v: recorded as %q", tt.header, got)
		}
	}
}
