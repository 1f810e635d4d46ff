package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
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
