package config

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// parseEndpoint reads a URL that a key may be sent to. The problem quotes
// nothing of it: what stands before an @ is a password.
func parseEndpoint(text string) (u *url.URL, problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, "is not a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "must begin with https:// or http://"
	case u.User != nil:
		return nil, "must not hold a user or password"
	case u.RawQuery != "" || u.ForceQuery:
		return nil, "must not have a query (?...)"
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, "must not have a fragment (#...)"
	case u.Hostname() == "":
		return nil, "names no host"
	case strings.ContainsAny(text, " \\"):
		return nil, "is not a URL"
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, "has a port that is not 1 to 65535"
		}
	}
	return u, ""
}

// Loopback reports whether a listen address (host:port) can be reached from
// this machine only. An address without a host listens everywhere.
func Loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && isLoopback(host)
}

// isLoopback is asked offline, so of names it knows localhost only.
func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// checkListen says what is wrong with host:port, or "".
func checkListen(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "must be host:port, such as 127.0.0.1:8080"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "has a port that is not 0 to 65535"
	}
	if host != "" && !isAddress(host) && !isHostName(host) {
		return "has a host that is neither an address nor a name"
	}
	return ""
}

func isHostName(s string) bool {
	return len(s) <= 253 && s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	})
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// isOwnListener reports whether a provider's endpoint is the address that we
// listen on: such a request would come back for ever. Only what needs no
// resolver is compared.
func isOwnListener(u *url.URL, listen string) bool {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" || port != portOf(u) {
		return false
	}
	target := u.Hostname()
	if ip, err := netip.ParseAddr(target); err == nil && ip.IsUnspecified() {
		target = "localhost" // connecting to 0.0.0.0 reaches this machine
	}
	own, err := netip.ParseAddr(host)
	if everywhere := host == "" || err == nil && own.IsUnspecified(); everywhere {
		return isLoopback(target)
	}
	return sameHost(host, target)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		n, _ := strconv.Atoi(port)
		return strconv.Itoa(n)
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// sameHost treats 127.0.0.1, ::1 and localhost as one: the default listener
// takes both addresses.
func sameHost(a, b string) bool { return canonicalHost(a) == canonicalHost(b) }

func canonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap()
	if ip == netip.IPv6Loopback() || ip == netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
		return "localhost"
	}
	return ip.String()
}
