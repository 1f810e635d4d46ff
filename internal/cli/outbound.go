package cli

import "net/url"

// outboundProxies are the addresses of the proxies that the environment names
// for outgoing requests, without their credentials, and the passwords in them.
func outboundProxies(getenv func(string) string) (shown, passwords []string) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		value := getenv(name)
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err != nil {
			passwords = append(passwords, value) // whatever it is, it is not to be quoted
			continue
		}
		if password, ok := u.User.Password(); ok {
			passwords = append(passwords, password, url.QueryEscape(password))
		}
		u.User = nil
		shown = append(shown, name+"="+u.String())
	}
	return shown, passwords
}
