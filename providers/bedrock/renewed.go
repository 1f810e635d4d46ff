package bedrock

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// renewing are credentials that are renewed ahead of their end, and serve to it
// where that fails: the SDK's own cache gives them up as soon as it would renew
// them.
type renewing struct {
	cache *aws.CredentialsCache // renews ahead, once for all who ask
	inner *noted
}

// renewed renews what source gives. tell is told of each time that it is asked;
// it may be nil.
func renewed(source aws.CredentialsProvider, tell func(id string, took time.Duration, err error)) *renewing {
	inner := &noted{source: source, tell: tell}
	return &renewing{inner: inner, cache: aws.NewCredentialsCache(inner, func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow, o.ExpiryWindowJitterFrac = refreshAhead, 0.5
	})}
}

// Retrieve gives the newest ones. It waits for credentialTime at most, and
// hardly at all while there are others that serve.
func (r *renewing) Retrieve(ctx context.Context) (aws.Credentials, error) {
	wait := credentialTime
	if _, ok := r.inner.serving(); ok {
		wait = renewTime
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	c, err := r.cache.Retrieve(ctx)
	if err == nil {
		return c, nil
	}
	if last, ok := r.inner.serving(); ok {
		return last, nil
	}
	return c, err
}

// noted knows what its source gave last, and until when that serves.
type noted struct {
	source aws.CredentialsProvider
	tell   func(id string, took time.Duration, err error)

	mu     sync.Mutex
	last   aws.Credentials
	failed time.Time // when the source did, zero = it did not
	err    error
}

// serving are the credentials that the source gave last, while they are valid.
func (n *noted) serving() (aws.Credentials, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last, n.servingLocked()
}

func (n *noted) servingLocked() bool {
	return n.last.HasKeys() && n.last.CanExpire && time.Until(n.last.Expires) > 0
}

// Retrieve asks the source, which may be a cache that would not renew yet. One
// that has just failed is left alone while nobody is in need.
func (n *noted) Retrieve(ctx context.Context) (aws.Credentials, error) {
	n.mu.Lock()
	spare := !n.failed.IsZero() && time.Since(n.failed) < refreshAgain && n.servingLocked()
	err := n.err
	n.mu.Unlock()
	if spare {
		return aws.Credentials{}, err
	}
	if cache, ok := n.source.(*aws.CredentialsCache); ok {
		cache.Invalidate()
	}
	began := time.Now()
	c, err := n.source.Retrieve(ctx)
	if n.tell != nil {
		n.tell(c.AccessKeyID, time.Since(began), err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.failed, n.err = time.Now(), err
		return c, err
	}
	n.last, n.failed, n.err = c, time.Time{}, nil
	return c, nil
}
