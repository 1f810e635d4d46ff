package proxy

import (
	"net"
	"net/url"
	"strings"
	"testing"
)

// FuzzHost reads any Host header: what is taken for this machine is so for
// whoever resolves names and addresses, and a listed name covers nothing else.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:1", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "localhost.evil.example",
		"[::1%25lo]", "::1", "evil.example:80@localhost", "localhost:80:80", "[localhost]", "proxy.internal:1", ""} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name := hostname(host)
		if localHost(host) && !strings.EqualFold(name, "localhost") {
			bare, _, _ := strings.Cut(name, "%")
			if ip := net.ParseIP(bare); ip == nil || !ip.IsLoopback() {
				t.Errorf("%q is taken for this machine", host)
			}
		}
		if listed([]string{"proxy.internal:8080"}, host) && !strings.EqualFold(name, "proxy.internal") {
			t.Errorf("%q is taken for proxy.internal", host)
		}
		if listed(nil, host) || listed([]string{""}, host) {
			t.Errorf("%q is listed in nothing", host)
		}
		// A browser that sends this as the host of a URL means this machine, too.
		if u, err := url.Parse("http://" + host + "/"); localHost(host) && err == nil && u.Host == host && !localHost(u.Hostname()) {
			t.Errorf("%q is taken for this machine, a browser means %q", host, u.Hostname())
		}
	})
}
