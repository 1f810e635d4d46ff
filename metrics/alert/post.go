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
	"unicode"
)

const (
	tries       = 3
	tryTime     = 10 * time.Second
	firstWait   = time.Second
	longestWait = time.Minute
	// perMinute bounds the messages; Slack takes one a second.
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

// run sends until ended is closed, and then what is left; all until ctx ends.
// Messages that are too many for the minute wait, and go as one.
func (p *Poster) run(ctx context.Context, ended <-chan struct{}) {
	defer p.client.CloseIdleConnections()
	var waiting []message
	for ctx.Err() == nil {
		wait := p.wait(time.Now())
		if wait <= 0 && len(waiting) > 0 {
			p.send(ctx, joined(waiting))
			waiting = nil
			continue
		}
		var free <-chan time.Time
		if len(waiting) > 0 {
			free = time.After(wait)
		}
		select {
		case m := <-p.queue:
			if waiting = append(waiting, m); len(waiting) > atOnce {
				waiting = waiting[1:]
				p.logger.Warn("an alert was not sent: too many are waiting")
			}
		case <-free:
		case <-ended:
			for len(p.queue) > 0 {
				waiting = append(waiting, <-p.queue)
			}
			if len(waiting) > 0 {
				p.send(ctx, joined(waiting))
			}
			return
		}
	}
}

// joined is one message for all. It goes to where the last one goes.
func joined(all []message) message {
	last := all[len(all)-1]
	if len(all) == 1 {
		return last
	}
	texts := []string{fmt.Sprintf("%d alerts", len(all))}
	for _, m := range all {
		texts = append(texts, m.text)
	}
	return message{last.url, strings.Join(texts, "\n")}
}

func (p *Poster) send(ctx context.Context, m message) {
	p.sent = append(p.sent, time.Now())
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

// harmless is a text without what moves a cursor or turns the direction of
// writing, on one line.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		default:
			return r
		}
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// escaped has a text mean itself: between < and > Slack looks for links, people
// and whole channels (docs.slack.dev/messaging/formatting-message-text).
var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

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
	body, err := json.Marshal(map[string]string{"text": "anyproxy: " + escaped.Replace(text)})
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
		return retryAfter(res.Header), fmt.Errorf("the webhook answered %d", res.StatusCode)
	default:
		return -1, fmt.Errorf("the webhook answered %d", res.StatusCode)
	}
}

// retryAfter is the wait that a service asks for, in seconds or until a date
// (RFC 9110, 10.2.3); 0 for none.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(seconds, 0), int(longestWait.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// wait is how long the next message has to wait for its minute.
func (p *Poster) wait(now time.Time) time.Duration {
	for len(p.sent) > 0 && now.Sub(p.sent[0]) >= time.Minute {
		p.sent = p.sent[1:]
	}
	if len(p.sent) < perMinute {
		return 0
	}
	return time.Minute - now.Sub(p.sent[0])
}
