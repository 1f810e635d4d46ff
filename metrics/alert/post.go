package alert

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	tries       = 3
	tryTime     = 10 * time.Second
	firstWait   = time.Second
	longestWait = time.Minute
	// perMinute bounds the messages to one webhook; Slack takes one a second.
	perMinute = 10
	// lastWords is how long the end of the program waits for messages.
	lastWords = 2 * time.Second
)

// Poster sends messages to webhooks that take {"text": "…"}: Slack's,
// Mattermost's, Discord's with /slack, and whatever reads the same.
type Poster struct {
	client *http.Client
	logger *slog.Logger
	queue  chan message
	sent   []time.Time // in the last minute
}

type message struct {
	url  func(context.Context) (string, error)
	text string
}

// NewPoster returns a Poster that follows no redirects. No message of its own
// names the webhook's path: whoever knows it may write there.
func NewPoster(logger *slog.Logger) *Poster {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, // not all of those services speak 1.3
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: tryTime, MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second}
	return &Poster{logger: logger, queue: make(chan message, atOnce), client: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// CheckURL says what is wrong with a webhook, without naming more than its host.
func CheckURL(webhook string) error {
	u, err := url.Parse(webhook)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it is no http:// or https:// address")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%s: plain http is for this machine only, use https", u.Host)
	default:
		return nil
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// add queues a message, or drops it where too many wait.
func (p *Poster) add(m message) {
	select {
	case p.queue <- m:
	default:
		p.logger.Warn("an alert was not sent: too many are waiting")
	}
}

// run sends until ctx ends, and for lastWords what is left then.
func (p *Poster) run(ctx context.Context) {
	defer p.client.CloseIdleConnections()
	for {
		select {
		case m := <-p.queue:
			p.send(ctx, m)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			defer cancel()
			for len(p.queue) > 0 && last.Err() == nil {
				p.send(last, <-p.queue)
			}
			return
		}
	}
}

func (p *Poster) send(ctx context.Context, m message) {
	if !p.allowed(time.Now()) {
		p.logger.Warn("an alert was not sent: there were too many within a minute")
		return
	}
	webhook, err := m.url(ctx)
	if err == nil && webhook == "" {
		return
	}
	if err == nil {
		err = CheckURL(webhook)
	}
	if err == nil {
		err = p.insist(ctx, webhook, m.text)
	}
	if err != nil {
		p.logger.Warn("an alert was not sent", "error", err)
	}
}

// insist tries until it succeeds, or is of no use.
func (p *Poster) insist(ctx context.Context, webhook, text string) error {
	for n := 1; ; n++ {
		wait, err := p.try(ctx, webhook, text)
		if err == nil || wait < 0 || n == tries {
			return err
		}
		timer := time.NewTimer(min(cmp.Or(wait, firstWait<<(2*(n-1))), longestWait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// try makes one request. wait is how long the service asks to be left alone, 0
// when it does not say, negative when to ask again is of no use.
func (p *Poster) try(ctx context.Context, webhook, text string) (wait time.Duration, err error) {
	body, err := json.Marshal(map[string]string{"text": "anyproxy: " + text})
	if err != nil {
		return -1, err
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook, bytes.NewReader(body))
	if err != nil {
		return -1, errors.New("it is no address")
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address
		}
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	switch {
	case res.StatusCode < 300:
		return 0, nil
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= 500:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return time.Duration(max(seconds, 0)) * time.Second, fmt.Errorf("the webhook answered %d", res.StatusCode)
	default:
		return -1, fmt.Errorf("the webhook answered %d", res.StatusCode)
	}
}

// allowed counts a message, and reports whether it is not one too many.
func (p *Poster) allowed(now time.Time) bool {
	for len(p.sent) > 0 && now.Sub(p.sent[0]) >= time.Minute {
		p.sent = p.sent[1:]
	}
	if len(p.sent) >= perMinute {
		return false
	}
	p.sent = append(p.sent, now)
	return true
}
