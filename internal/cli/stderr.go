package cli

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"anyproxy/config"
	"anyproxy/internal/logging"
	"anyproxy/internal/redact"
)

// stderr is standard error, where the program says what goes wrong. Whatever is
// written to it is redacted and cleaned: a file's name, a flag, the environment
// and the error of somebody else's library can hold anything.
type stderr struct {
	io.Writer
	// raw is standard error itself, for the log, which does the same with its
	// lines, for a child, for what draws, and for a fresh key that must be read.
	raw    io.Writer
	redact *redact.Redactor
	hidden hiddenSecrets
}

// newStderr knows the secrets that the environment holds by their names.
func newStderr(errw io.Writer, getenv func(string) string) *stderr {
	e := &stderr{raw: errw, redact: redact.New()}
	e.Writer = e.screen(errw)
	_, passwords := outboundProxies(getenv)
	e.hide(passwords...)
	for _, name := range secretVariables {
		e.hide(getenv(name))
	}
	for _, a := range foreign {
		e.hide(getenv(a.found))
	}
	return e
}

// secretVariables are those of Claude Code and the AWS SDK, whether anyproxy
// reads them or not.
var secretVariables = []string{
	"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_OAUTH_TOKEN",
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK",
}

// screen is a writer to out of what a person is shown.
func (e *stderr) screen(out io.Writer) io.Writer { return e.redact.Writer(logging.Clean(out)) }

// hide keeps secrets out of all that is said from now on, the old ones too:
// running requests may still tell of them.
func (e *stderr) hide(secrets ...string) { e.hidden.add(e.redact, secrets) }

// hideThoseOf hides what a configuration holds or names; nil has nothing. What
// a file, a command or a keyring gives is hidden when it is read.
func (e *stderr) hideThoseOf(c *config.Config, getenv func(string) string) {
	if c == nil {
		return
	}
	ref := func(r config.SecretRef) { e.hide(valuesOf(r, getenv)...) }
	for _, k := range c.APIKeys {
		ref(k.Key)
	}
	for _, p := range c.Providers {
		ref(p.APIKey)
		for _, v := range p.Headers {
			e.hide(v.Reveal())
		}
	}
	ref(c.Alerts.Webhook)
}

// valuesOf are the values of a secret that nothing has to be asked for.
func valuesOf(r config.SecretRef, getenv func(string) string) (values []string) {
	switch r.Kind {
	case config.SecretLiteral:
		values = append(values, r.Literal.Reveal())
	case config.SecretEnv:
		values = append(values, getenv(r.Name))
	case config.SecretPool:
		for _, one := range r.Pool {
			values = append(values, valuesOf(one, getenv)...)
		}
	case config.SecretOAuth:
		values = valuesOf(r.OAuth.RefreshToken, getenv)
	}
	return values
}

// internalError tells of a panic and makes it an exit code. It is deferred.
func internalError(errw *stderr, code *int) {
	if v := recover(); v != nil {
		complain(errw, hinted(fmt.Errorf("internal error: %v\n%s", v, debug.Stack()), "this is a mistake in anyproxy: please report it with the lines above"))
		*code = exitFailed
	}
}

// complain prints what went wrong and what to do about it.
func complain(errw io.Writer, err error) {
	fmt.Fprintf(errw, "anyproxy: error: %v\n", err)
	var f *failure
	if errors.As(err, &f) && f.hint != "" {
		fmt.Fprintf(errw, "anyproxy: hint: %s\n", f.hint)
	}
}
