package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"anyproxy/internal/redact"
)

// steering is what a terminal obeys, in text of others: a title, a colour in 7
// and 8 bits, a line that takes the place of the one before, text that is shown
// backwards, bytes that are no UTF-8.
const steering = "\x1b]0;owned\x07\x1b[31m\u009b31m\rfine\x7f\u202e\u2066\xff"

// A planted secret has no shape by which it could be known.
const planted = "planted-secret-of-mine"

// TestStderr calls the program wrongly in every way that makes it quote somebody.
func TestStderr(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, strings.ReplaceAll(steering, "/", "")+planted)
	oddFile := odd + ".yaml"
	if err := errors.Join(os.WriteFile(oddFile, []byte("providers: {}\n"), 0o600), os.WriteFile(odd+".sh", []byte("no program"), 0o700)); err != nil {
		t.Skip("NOT TESTED: odd names, which are refused here: ", err)
	}
	quoted := `"\e]0;owned\a\e[31m\x7f\L\u202e\u2066` + planted + `"`
	config := func(text string) []string {
		return []string{"-config", writeFile(t, "config.yaml", text), "-listen", "127.0.0.1:0"}
	}
	served := "state: {path: none}\nproviders: {a: {endpoint: 'http://127.0.0.1:9', apiKey: " + planted + "}}\nmodels: [{alias: 'claude-*', provider: a}]\n"
	with := func(old, by string) []string { return config(strings.Replace(served, old, by, 1)) }
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		want string // of what is said
	}{
		"an unknown flag":              {args: []string{"-" + steering + planted}, want: "flag provided but not defined"},
		"a flag's value":               {args: []string{"-tps-threshold", steering + planted}, want: "tps-threshold"},
		"an argument":                  {args: []string{steering + planted}, want: "unexpected argument"},
		"a command's flag":             {args: []string{"validate", "-" + steering + planted}, want: "flag provided but not defined"},
		"a command's argument":         {args: []string{"usage", steering + planted}, want: "unexpected argument"},
		"a command's choice":           {args: []string{"usage", "-by", steering + planted}, want: "-by is"},
		"a shell":                      {args: []string{"env", "-shell", steering + planted}, want: "-shell"},
		"a program":                    {args: []string{"run", "--", steering + planted}, want: "cannot run"},
		"a program that is none":       {args: []string{"run", "--", odd + ".sh"}, want: "cannot run"},
		"an address":                   {args: []string{"-listen", steering + planted}, want: "not host:port"},
		"a port":                       {args: []string{"-listen", "127.0.0.1:" + steering + planted}, want: "-listen"},
		"a host":                       {args: append(config(served), "-listen", steering+planted+":1"), want: "listen"},
		"PORT":                         {env: map[string]string{"PORT": steering + planted}, want: "PORT"},
		"a file that is not there":     {args: []string{"-config", odd + "-absent"}, want: "read config"},
		"CONFIG_PATH":                  {args: []string{"status"}, env: map[string]string{"CONFIG_PATH": odd + "-absent"}, want: "read config"},
		"a file with problems":         {args: []string{"validate", "-config", oddFile}, want: "problem"},
		"a file with problems, served": {args: []string{"-config", oddFile}, want: "problem"},
		"a log file":                   {args: append(config(served), "-log-file", odd+"-absent/x"+"/\x00"), want: "open request log"},
		"a key of the file":            {args: config(quoted + ": 1\n" + served), want: "unknown key"},
		"a key of a provider":          {args: with("endpoint:", quoted+": 1, endpoint:"), want: "unknown key"},
		"a provider's name":            {args: with("{a:", "{"+quoted+":"), want: "name"},
		"an alias":                     {args: with("'claude-*'", quoted), want: "alias"},
		"a model's provider":           {args: with("provider: a", "provider: "+quoted), want: "provider"},
		"an endpoint":                  {args: with("'http://127.0.0.1:9'", quoted), want: "endpoint"},
		"an endpoint with a password":  {args: with("'http://127.0.0.1:9'", "'http://me:"+planted+"@127.0.0.1'"), want: "endpoint"},
		"a variable that is not there": {args: with(planted, "env.ABSENT"), want: "ABSENT"},
		"a variable with control":      {args: with(planted, "env.ODD"), env: map[string]string{"ODD": planted + steering}, want: "ODD"},
		"a key's file":                 {args: with(planted, `"file:`+odd+`-absent"`), want: "a"},
		"a command that fails":         {args: append([]string{"env"}, with("providers:", `apiKeys: [{key: {cmd: [sh, -c, "printf '%s' `+planted+` >&2; printf '\\033]0;owned\\007' >&2; exit 3"]}}]`+"\nproviders:")[:2]...), want: "exit status 3"},
		"a certificate's file":         {args: with("apiKey:", "tls: {ca: '/nowhere/"+planted+"'}, apiKey:"), want: "tls: ca"},
		"a secret in another place":    {args: with("alias: 'claude-*'", "alias: ["+planted+", "+planted+"]"), want: "alias"},
		"the state's folder":           {args: append([]string{"usage"}, with("path: none", "path: "+quoted)[:2]...), want: "state"},
		"LOG_LEVEL":                    {args: config("providers: {}"), env: map[string]string{"LOG_LEVEL": steering + planted, "LOG_FORMAT": steering + planted}, want: "LOG_LEVEL"},
		"an outbound proxy":            {args: config("providers: {}"), env: map[string]string{"HTTPS_PROXY": "http://me:" + planted + "@" + steering}, want: "problem"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"ANTHROPIC_AUTH_TOKEN": planted, "XDG_STATE_HOME": dir}
			for k, v := range c.env {
				env[k] = v
			}
			t.Chdir(dir) // no config.yaml
			var said, told bytes.Buffer
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			code := Run(ctx, c.args, func(k string) string { return env[k] }, strings.NewReader(""), &said, &told)
			out, errw := said.String(), told.String()
			if code == exitDone || !strings.Contains(errw, c.want) || !strings.Contains(errw, "anyproxy: error: ") {
				t.Errorf("exit code %d, want %q: %q", code, c.want, errw)
			}
			all := out + errw
			if i := strings.IndexFunc(all, func(r rune) bool { return isControl(r) || r == '\r' || r == '\u202e' || r == '\u2066' }); i >= 0 || !utf8.ValidString(all) {
				t.Errorf("a terminal would obey %q", all[max(i, 0):])
			}
			if i := strings.Index(all, planted); i >= 0 {
				t.Errorf("a secret is told: %q", all[max(i-80, 0):])
			}
		})
	}
}

// A secret is known from its variable or from the file, in all its forms, and
// what is said later is kept from telling old ones.
func TestStderrKnowsSecrets(t *testing.T) {
	var b bytes.Buffer
	env := map[string]string{"AWS_SECRET_ACCESS_KEY": "secret-of-the-cloud", "GROQ_API_KEY": "secret-of-groq-000", "https_proxy": "http://me:p%40ssword-of-mine@127.0.0.1:9"}
	e := newStderr(&b, func(name string) string { return env[name] })
	e.hide("first-of-all-secrets")
	e.hide("second-of-all-secrets")
	complain(e, hinted(errors.New("secret-of-the-cloud secret-of-groq-000 p@ssword-of-mine p%40ssword-of-mine"), "first-of-all-secrets, second-of-all-secrets\x1b"))
	want := "anyproxy: error: " + strings.Repeat(redact.Dots+" ", 3) + redact.Dots + "\nanyproxy: hint: " + redact.Dots + ", " + redact.Dots + `\u001b` + "\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
