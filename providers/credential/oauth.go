package credential

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"anyproxy/config"
)

const (
	// refreshTime bounds one exchange with a token endpoint.
	refreshTime = 30 * time.Second
	// unknownLife is when a token is renewed whose end was not told.
	unknownLife = time.Hour
)

// tokenClient speaks to token endpoints: never by a redirect, which would take
// the refresh token elsewhere.
func tokenClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS13},
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: refreshTime,
			MaxIdleConnsPerHost:   1,
			IdleConnTimeout:       30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A keeper is a source that can take a new value.
type keeper interface {
	keep(ctx context.Context, value string) error
}

// oauth is an access token that is got for a refresh token (RFC 6749, section
// 6). An endpoint may give a new refresh token each time, and the old one is
// worth nothing then: it goes back to where the old one came from before
// anything else is done.
type oauth struct {
	url, client string
	refresh     Source
	kept        config.SecretRef // where refresh comes from
	vault       *Vault
	owner       string

	mu     sync.Mutex // held while refreshing: fetches come one at a time
	source string     // the value that the source gave last
	newer  string     // the one that took its place, "" = none did, or the source has it
	told   bool       // that it cannot be kept
}

func (o *oauth) limit() time.Duration { return refreshTime }

func (o *oauth) String() string {
	u, err := url.Parse(o.url)
	if err != nil {
		return "oauth"
	}
	return "oauth at " + u.Host
}

// fetch trades the refresh token for an access token.
func (o *oauth) fetch(ctx context.Context) (value string, life, fresh time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	token, err := o.refreshToken(ctx)
	if err != nil {
		return "", 0, 0, err
	}
	got, err := o.trade(ctx, token)
	if err != nil {
		return "", 0, 0, o.failure(err)
	}
	o.vault.o.Hide(got.AccessToken, got.RefreshToken)
	if got.RefreshToken != "" && got.RefreshToken != token {
		o.rotate(ctx, got.RefreshToken)
	}
	if got.Expiry.IsZero() {
		return got.AccessToken, 0, unknownLife, nil
	}
	life = time.Duration(got.ExpiresIn) * time.Second
	if life <= 0 {
		life = time.Until(got.Expiry)
	}
	return got.AccessToken, max(life, time.Second), 0, nil
}

// refreshToken is the newest one. What the source says counts when it has
// changed: somebody has logged in again.
func (o *oauth) refreshToken(ctx context.Context) (string, error) {
	given, err := o.refresh.Secret(ctx)
	if err != nil {
		if o.newer != "" {
			return o.newer, nil
		}
		return "", fmt.Errorf("refreshToken: %w", err)
	}
	if given.Reveal() != o.source {
		o.source, o.newer = given.Reveal(), ""
	}
	if o.newer != "" {
		return o.newer, nil
	}
	return o.source, nil
}

func (o *oauth) trade(ctx context.Context, refresh string) (*oauth2.Token, error) {
	c := oauth2.Config{ClientID: o.client, Endpoint: oauth2.Endpoint{TokenURL: o.url, AuthStyle: oauth2.AuthStyleInParams}}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, o.vault.o.Client)
	return c.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
}

// failure says what an endpoint has answered without quoting it: it may quote
// what it was sent.
func (o *oauth) failure(err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address
		}
		return fmt.Errorf("the token endpoint: %w", err)
	}
	status := 0
	if answer.Response != nil {
		status = answer.Response.StatusCode
	}
	switch {
	case answer.ErrorCode == "invalid_grant":
		return fmt.Errorf("the token endpoint refuses the refresh token (invalid_grant): log in again and store the new one; %w", errForGood)
	case knownOAuthError[answer.ErrorCode]:
		return fmt.Errorf("the token endpoint answered %d, %s; %w", status, answer.ErrorCode, errForGood)
	case status >= 300 && status < 400:
		return fmt.Errorf("the token endpoint answered with a redirect (%d), which is not followed; %w", status, errForGood)
	default:
		return fmt.Errorf("the token endpoint answered %d", status)
	}
}

// knownOAuthError are the errors of RFC 6749, section 5.2, that may be quoted.
var knownOAuthError = map[string]bool{"invalid_request": true, "invalid_client": true, "unauthorized_client": true,
	"unsupported_grant_type": true, "invalid_scope": true}

// rotate keeps a new refresh token, in memory at least.
func (o *oauth) rotate(ctx context.Context, token string) {
	o.newer = token
	var err error
	k, can := o.refresh.(keeper)
	if c, is := o.refresh.(*cached); is {
		k, can = c.fetcher.(keeper)
	}
	if can {
		err = k.keep(ctx, token)
	}
	if can && err == nil {
		o.account(token, WrittenBack)
		o.source, o.newer = token, ""
		if c, is := o.refresh.(*cached); is {
			c.replace(token)
		}
		return
	}
	o.account(token, NotWritten)
	if o.told && err == nil {
		return
	}
	o.told = true
	text := fmt.Sprintf("%s has given a new refresh token, which %s cannot take: it is lost with this process; keep the token in file: or keyring:", o, o.kept)
	if err != nil {
		text = fmt.Sprintf("%s has given a new refresh token, which could not be written back and is lost with this process: %v", o, err)
	}
	o.vault.o.Tell(Notice{Owner: o.owner, Text: text, Failed: true})
}

// account tells of a new refresh token for the audit.
func (o *oauth) account(token string, what Outcome) {
	source := o.kept.String()
	if o.kept.Kind == config.SecretLiteral { // of which that would be dots
		source = "the configuration"
	}
	o.vault.o.Renewed(Renewal{Owner: o.owner, Source: source, Outcome: what, Fingerprint: Fingerprint(token)})
}
