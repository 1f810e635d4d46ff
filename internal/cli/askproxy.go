package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"
)

// maxAnswer bounds what a proxy says of itself, in bytes.
const maxAnswer = 16 << 20

// askProxy reads the JSON that a proxy on this machine answers to a GET into v,
// whatever its status.
func askProxy(ctx context.Context, url string, v any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	defer func() {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errSilent
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := local.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return errRefused
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("%w: %w", errNoAnyproxy, err)
	}
	return nil
}

// askTimeout bounds a question to a proxy on this machine.
const askTimeout = 2 * time.Second

// serves asks whether a proxy answers there.
func serves(ctx context.Context, url string) error {
	var answer struct{ Name string }
	if err := askProxy(ctx, url+"/", &answer); err != nil {
		return err
	}
	if answer.Name != "anyproxy" {
		return errNoAnyproxy
	}
	return nil
}

var (
	errRefused    = errors.New("nobody listens there")
	errSilent     = fmt.Errorf("no answer within %s", askTimeout)
	errNoAnyproxy = errors.New("what answers there is no anyproxy")
)

// local asks without the proxies that the environment names.
var local = &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
