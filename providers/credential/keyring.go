package credential

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"anyproxy/internal/contain"

	gokeyring "github.com/zalando/go-keyring"
)

// keyringFresh is how long a value of the keyring is used before it is looked
// up again.
const keyringFresh = 10 * time.Minute

// keyring is a secret in the system's own store: the Secret Service of a Linux
// desktop, the Keychain of macOS, the Credential Manager of Windows.
type keyring struct {
	service, user string
	logger        *slog.Logger
}

func newKeyring(name string, logger *slog.Logger) *keyring {
	service, user, _ := strings.Cut(name, "/")
	return &keyring{service, user, logger}
}

func (k *keyring) limit() time.Duration { return commandTime }
func (k *keyring) String() string       { return "keyring " + k.service + "/" + k.user }

// fetch looks it up. The store may ask the person first: whoever waits is not
// held up beyond ctx.
func (k *keyring) fetch(ctx context.Context) (value string, life, fresh time.Duration, err error) {
	value, err = k.within(ctx, func() (string, error) { return gokeyring.Get(k.service, k.user) })
	switch {
	case errors.Is(err, gokeyring.ErrNotFound):
		return "", 0, 0, errors.New("it has no such entry; store one with your system's tool, on Linux: secret-tool store --label=anyproxy service " + k.service + " username " + k.user)
	case err != nil:
		return "", 0, 0, k.unreachable(err)
	}
	value, err = oneLine([]byte(value))
	return value, 0, keyringFresh, err
}

// keep stores a new value in the place of the old one.
func (k *keyring) keep(ctx context.Context, value string) error {
	_, err := k.within(ctx, func() (string, error) { return "", gokeyring.Set(k.service, k.user, value) })
	if err != nil {
		return k.unreachable(err)
	}
	return nil
}

func (k *keyring) unreachable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("no keyring can be reached from here (a session without a desktop has none; use file: or cmd: there): %w", err)
}

// within waits for do as long as ctx lasts.
func (k *keyring) within(ctx context.Context, do func() (string, error)) (string, error) {
	type result struct {
		value string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() { done <- r }()
		defer contain.Error(k.logger, "keyring", &r.err)
		r.value, r.err = do()
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
