package bedrock

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/config"
	"anyproxy/providers"
)

// settings writes AWS's files for a test and a home to keep others in.
func settings(t *testing.T, configText, credentialsText string) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	for name, text := range map[string]string{"AWS_CONFIG_FILE": configText, "AWS_SHARED_CREDENTIALS_FILE": credentialsText} {
		file := filepath.Join(home, name)
		write(t, file, text)
		t.Setenv(name, file)
	}
	return home
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// signedBy are the access keys that requests were signed with.
func signedBy(s *service) (keys []string) {
	for _, r := range s.requests() {
		_, rest, _ := strings.Cut(r.header.Get("Authorization"), "Credential=")
		key, _, _ := strings.Cut(rest, "/")
		keys = append(keys, key)
	}
	return keys
}

// keyServer gives out keys as a container's metadata service does: KEY1, KEY2,
// and so on, each valid until the given time.
func keyServer(t *testing.T, expires func(n int64) time.Time) *atomic.Int64 {
	t.Helper()
	var given atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := given.Add(1)
		fmt.Fprintf(w, `{"AccessKeyId":"KEY%d","SecretAccessKey":%q,"Token":%q,"Expiration":%q}`, n, testSecret, testToken, expires(n).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", s.URL)
	return &given
}

// Every way in which AWS keeps credentials signs the request.
func TestCredentialChain(t *testing.T) {
	s := serve(t, answers(200, "", wholeMessage))
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		action := form.Get("Action")
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>%[2]s</AccessKeyId>`+
			`<SecretAccessKey>%[3]s</SecretAccessKey><SessionToken>%[4]s</SessionToken><Expiration>%[5]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			action, "ROLEOF"+form.Get("RoleSessionName"), testSecret, testToken, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(sts.Close)
	for _, tt := range []struct {
		name string
		prep func(t *testing.T)
		cfg  config.Provider
		want string
	}{
		{"environment", keysInEnvironmentOf, config.Provider{}, testKeyID},
		{"default profile", func(t *testing.T) {
			settings(t, "", "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = "+testSecret+"\n")
		}, config.Provider{}, "DEFAULT"},
		{"named profile", func(t *testing.T) {
			keysInEnvironment(t)
			settings(t, "[profile work]\nregion = eu-west-1\n", "[work]\naws_access_key_id = WORK\naws_secret_access_key = "+testSecret+"\n")
		}, config.Provider{Profile: "work"}, "WORK"},
		{"a program", func(t *testing.T) {
			home := settings(t, "", "")
			write(t, filepath.Join(home, "keys.json"), `{"Version":1,"AccessKeyId":"PROCESS","SecretAccessKey":"`+testSecret+`"}`)
			write(t, os.Getenv("AWS_CONFIG_FILE"), "[default]\ncredential_process = cat "+filepath.Join(home, "keys.json")+"\n")
		}, config.Provider{}, "PROCESS"},
		{"container", func(t *testing.T) {
			keyServer(t, func(int64) time.Time { return time.Now().Add(time.Hour) })
		}, config.Provider{}, "KEY1"},
		{"web identity", func(t *testing.T) {
			home := settings(t, "", "")
			write(t, filepath.Join(home, "token"), "jwt")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(home, "token"))
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web")
			t.Setenv("AWS_ROLE_SESSION_NAME", "web")
		}, config.Provider{}, "ROLEOFweb"},
		{"roleArn", keysInEnvironmentOf, config.Provider{RoleARN: "arn:aws:iam::123456789012:role/bedrock"}, "ROLEOFanyproxy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
			tt.prep(t)
			tt.cfg.Endpoint = s.URL
			p := newProvider(t, tt.cfg)
			if err := p.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := send(t, p, request(t, smallBody, false)); got.err != nil {
				t.Fatal(got.err)
			}
			if keys := signedBy(s); keys[len(keys)-1] != tt.want {
				t.Errorf("signed by %q, want %s", keys[len(keys)-1], tt.want)
			}
		})
	}
}

func keysInEnvironmentOf(t *testing.T) { keysInEnvironment(t) }

// A chain that gives nothing is told, and every request fails over.
func TestBrokenChain(t *testing.T) {
	s := serve(t, answers(200, "", wholeMessage))
	for _, tt := range []struct {
		name string
		prep func(t *testing.T)
		cfg  config.Provider
		want []string
	}{
		{"nothing anywhere", func(t *testing.T) { settings(t, "", "") }, config.Provider{},
			[]string{"no AWS credentials, tried the environment", "the profile default", "metadata services", "IMDS"}},
		{"no such profile", func(t *testing.T) { settings(t, "[profile a]\nregion = x\n", "") }, config.Provider{Profile: "work"},
			[]string{"read the AWS settings", "work"}},
		{"an empty profile", func(t *testing.T) { settings(t, "[profile work]\nregion = us-west-2\n", "") }, config.Provider{Profile: "work"},
			[]string{"no AWS credentials, tried the profile work"}},
		{"a file that is none", func(t *testing.T) { settings(t, "[profile work\n", "") }, config.Provider{Profile: "work"}, []string{"work"}},
		{"an SSO session that has ended", func(t *testing.T) {
			home := settings(t, "[profile work]\nsso_start_url = https://d.awsapps.com/start\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = Dev\nregion = us-west-2\n", "")
			write(t, ssoCache(home, "https://d.awsapps.com/start"), `{"startUrl":"https://d.awsapps.com/start","region":"us-east-1","accessToken":"secretSSOToken123456","expiresAt":"2020-01-01T00:00:00Z"}`)
		}, config.Provider{Profile: "work"}, []string{"the AWS SSO session has ended: run aws sso login --profile work"}},
		{"a role on an SSO session that has ended", func(t *testing.T) {
			home := settings(t, "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = sso\nregion = us-west-2\n"+
				"[profile sso]\nsso_start_url = https://d.awsapps.com/start\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = Dev\n", "")
			write(t, ssoCache(home, "https://d.awsapps.com/start"), `{"startUrl":"https://d.awsapps.com/start","region":"us-east-1","accessToken":"secretSSOToken123456","expiresAt":"2020-01-01T00:00:00Z"}`)
		}, config.Provider{Profile: "work"}, []string{"the AWS SSO session has ended: run aws sso login --profile sso"}},
		{"an SSO session that never began", func(t *testing.T) {
			settings(t, "[sso-session corp]\nsso_start_url = https://d.awsapps.com/start\nsso_region = us-east-1\n[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\n", "")
			t.Setenv("AWS_PROFILE", "work")
		}, config.Provider{}, []string{"run aws sso login --profile work"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.prep(t)
			tt.cfg.Endpoint = s.URL
			p := newProvider(t, tt.cfg)
			checked := p.Check(t.Context())
			if checked == nil {
				t.Fatal("Check found nothing wrong")
			}
			e := wantError(t, send(t, p, request(t, smallBody, true)).err, providers.ClassCredential)
			if e.Status != 0 || e.Body != nil {
				t.Errorf("status %d, body %q", e.Status, e.Body)
			}
			for _, text := range []string{checked.Error(), e.Error()} {
				for _, want := range tt.want {
					if !strings.Contains(text, want) {
						t.Errorf("%q does not say %q", text, want)
					}
				}
				if strings.Contains(text, "secretSSOToken") || strings.Contains(text, "123456789012") {
					t.Errorf("%q says too much", text)
				}
			}
		})
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// ssoCache is where the AWS CLI keeps the token of a start URL.
func ssoCache(home, startURL string) string {
	sum := sha1.Sum([]byte(startURL))
	return filepath.Join(home, ".aws", "sso", "cache", hex.EncodeToString(sum[:])+".json")
}

// What is mended outside works without a restart.
func TestChainIsMended(t *testing.T) {
	s := serve(t, answers(200, "", wholeMessage))
	settings(t, "", "")
	p := newProvider(t, config.Provider{Endpoint: s.URL, Profile: "work"})
	wantError(t, send(t, p, request(t, smallBody, false)).err, providers.ClassCredential)
	write(t, os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), "[work]\naws_access_key_id = WORK\naws_secret_access_key = "+testSecret+"\n")
	if got := send(t, p, request(t, smallBody, false)); got.err != nil {
		t.Error(got.err)
	}
}

// A source that does not answer holds nobody up for longer than they wait.
func TestSilentSource(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{}, 10)
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-release
		fmt.Fprintf(w, `{"AccessKeyId":"LATE","SecretAccessKey":%q}`, testSecret)
	}))
	t.Cleanup(source.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", source.URL)
	s := serve(t, answers(200, "", wholeMessage))
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if err := p.Check(ctx); err == nil {
		t.Error("Check found nothing wrong")
	}
	_, err := p.Send(ctx, request(t, smallBody, false))
	wantError(t, err, providers.ClassCanceled)
	close(release)
	if got := send(t, p, request(t, smallBody, false)); got.err != nil || signedBy(s)[0] != "LATE" {
		t.Error(got.err)
	}
}

// Credentials that expire under load are renewed once, for everybody.
func TestExpiryUnderLoad(t *testing.T) {
	given := keyServer(t, func(n int64) time.Time {
		if n == 1 {
			return time.Now().Add(-time.Minute)
		}
		return time.Now().Add(time.Hour)
	})
	s := serve(t, answers(200, "", wholeMessage))
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	load(t, p)
	if n := given.Load(); n != 2 {
		t.Errorf("credentials were fetched %d times, want twice", n)
	}
	for _, key := range signedBy(s) {
		if key != "KEY2" {
			t.Fatalf("signed by %s", key)
		}
	}
}

// Credentials that cannot be renewed serve as long as they are valid, and their
// source is not asked by every request.
func TestFailedRenewalCostsNothing(t *testing.T) {
	var given atomic.Int64
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if given.Add(1) > 1 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"KEY1","SecretAccessKey":%q,"Token":%q,"Expiration":%q}`, testSecret, testToken,
			time.Now().Add(refreshAhead/2-time.Second).UTC().Format(time.RFC3339)) // to be renewed already
	}))
	t.Cleanup(source.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", source.URL)
	s := serve(t, answers(200, "", wholeMessage))
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	load(t, p)
	for _, key := range signedBy(s) {
		if key != "KEY1" {
			t.Fatalf("signed by %s", key)
		}
	}
	if n := given.Load(); n != 2 {
		t.Errorf("the source was asked %d times, want twice", n)
	}
}

// So are credentials that the service refuses before their time.
func TestRefusalUnderLoad(t *testing.T) {
	given := keyServer(t, func(int64) time.Time { return time.Now().Add(time.Hour) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "KEY1/") {
			answers(403, "ExpiredTokenException", `{"message":"The security token included in the request is expired"}`)(w, r)
			return
		}
		answers(200, "", wholeMessage)(w, r)
	})
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	load(t, p)
	if n := given.Load(); n != 2 {
		t.Errorf("credentials were fetched %d times, want twice", n)
	}
}

// load sends 500 requests at once, each once more where that is offered.
func load(t *testing.T, p *Provider) {
	t.Helper()
	begin := make(chan struct{})
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			<-begin
			r := request(t, smallBody, false)
			got := send(t, p, r)
			if e, ok := got.err.(*providers.Error); ok && e.Renewed {
				got = send(t, p, r)
			}
			if got.err != nil {
				t.Error(got.err)
			}
		})
	}
	close(begin)
	all.Wait()
}

// A key that the service refuses and that nobody has replaced is no reason to
// ask again.
func TestRefusedKeyStays(t *testing.T) {
	keysInEnvironment(t)
	s := serve(t, answers(403, "UnrecognizedClientException", `{"message":"The security token included in the request is invalid."}`))
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	if e := wantError(t, send(t, p, request(t, smallBody, false)).err, providers.ClassCredential); e.Renewed {
		t.Error("the same key is offered again")
	}
}

func TestReplacedKeyIsRead(t *testing.T) {
	settings(t, "", "[default]\naws_access_key_id = OLD\naws_secret_access_key = "+testSecret+"\n")
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "OLD/") {
			answers(403, "ExpiredTokenException", `{"message":"expired"}`)(w, r)
			return
		}
		answers(200, "", wholeMessage)(w, r)
	})
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), "[default]\naws_access_key_id = NEW\naws_secret_access_key = "+testSecret+"\n")
	if e := wantError(t, send(t, p, request(t, smallBody, false)).err, providers.ClassCredential); !e.Renewed {
		t.Error("the new key is not offered")
	}
	if got := send(t, p, request(t, smallBody, false)); got.err != nil {
		t.Error(got.err)
	}
}

func TestRegionOfTheProfile(t *testing.T) {
	settings(t, "[profile work]\nregion = eu-west-1\n", "[work]\naws_access_key_id = WORK\naws_secret_access_key = "+testSecret+"\n")
	s := serve(t, answers(200, "", wholeMessage))
	p := newProvider(t, config.Provider{Endpoint: s.URL, Profile: "work"})
	p.account.cfg.Region = ""
	if got := send(t, p, request(t, smallBody, false)); got.err != nil {
		t.Fatal(got.err)
	}
	if r := s.requests()[0]; !strings.Contains(r.header.Get("Authorization"), "/eu-west-1/bedrock/") || !strings.Contains(r.path, "/eu.anthropic.") {
		t.Errorf("%s, %s", r.path, r.header.Get("Authorization"))
	}
}

func TestNoRegion(t *testing.T) {
	keysInEnvironment(t)
	p := newProvider(t, config.Provider{Profile: ""})
	p.account.cfg.Region = ""
	if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "no AWS region: set region") {
		t.Error(err)
	}
}

// What a role may not do, its next credentials may not either: to fetch some for
// every such refusal and to ask once more is in vain.
func TestDeniedRoleIsNotRenewed(t *testing.T) {
	given := keyServer(t, func(int64) time.Time { return time.Now().Add(time.Hour) })
	s := serve(t, answers(403, "AccessDeniedException", `{"message":"User: x is not authorized to perform: bedrock:InvokeModel on resource: y"}`))
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	for range 3 {
		if e := wantError(t, send(t, p, request(t, smallBody, false)).err, providers.ClassCredential); e.Renewed {
			t.Error("the request is to be put once more")
		}
	}
	if n := given.Load(); n != 1 {
		t.Errorf("credentials were fetched %d times, want once", n)
	}
}

// A request is signed with what it was given at its beginning, also where that
// expires so soon that the next request has to fetch its own.
func TestCredentialsAreAskedForOnceARequest(t *testing.T) {
	given := keyServer(t, func(int64) time.Time { return time.Now().Add(30 * time.Second) })
	s := serve(t, answers(200, "", wholeMessage))
	p := newProvider(t, config.Provider{Endpoint: s.URL})
	if got := send(t, p, request(t, smallBody, false)); got.err != nil || given.Load() != 1 || signedBy(s)[0] != "KEY1" {
		t.Errorf("credentials were fetched %d times, want once; %v", given.Load(), got.err)
	}
}
