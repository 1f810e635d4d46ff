package upstream

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"anyproxy/config"
)

// What our own connections cannot do is net/http's.
func TestWhichTransportLeadsThere(t *testing.T) {
	for address, own := range map[string]bool{
		"http://a.example/": true, "https://a.example:8443/": true, "https://[::1]/": true, "https://xn--bcher-kva.example/": true,
		"https://bücher.example/": false, "https://proxied.example/": false, "https://unknown.example/": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		for _, http2 := range []bool{false, true} {
			to, err := newTransport(config.Provider{HTTP2: http2})
			if err != nil {
				t.Fatal(err)
			}
			to.net.Proxy = func(r *http.Request) (*url.URL, error) {
				switch r.URL.Hostname() {
				case "proxied.example":
					return &url.URL{Scheme: "http", Host: "proxy.example"}, nil
				case "unknown.example":
					return nil, errors.New("no such proxy")
				}
				return nil, nil
			}
			for range 2 { // the second time it is known
				if to.reaches(u) != (own && !http2) {
					t.Errorf("%s, HTTP/2 %v: over our own %v", address, http2, !own)
				}
			}
		}
	}
}
