package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// admit refuses what a web page could make a browser send: a foreign Host name
// that was made to resolve to this machine (DNS rebinding), and requests from a
// page's origin. No cross-origin header is ever answered.
func (s *Server) admit(c *call) *refusal {
	allowed := c.rt.Config.AllowedHosts
	if s.o.Loopback && !localHost(c.Host) && !listed(allowed, c.Host) {
		return refuse(http.StatusForbidden, "this Host name is not served; add it to allowedHosts if it should be")
	}
	for _, origin := range c.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || !listed(allowed, u.Host) {
			return refuse(http.StatusForbidden, "requests from web pages are not served")
		}
	}
	return nil
}

// hostname strips the port, and the brackets of an IPv6 address.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

// localHost reports whether a Host header names this machine's loopback.
func localHost(hostport string) bool {
	host := hostname(hostport)
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func listed(allowed []string, hostport string) bool {
	host := hostname(hostport)
	return host != "" && slices.ContainsFunc(allowed, func(a string) bool {
		return strings.EqualFold(hostname(a), host)
	})
}
