package bedrock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth/bearer"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"anyproxy/config"
	"anyproxy/providers/credential"
)

const (
	// credentialTime is how long a request waits for AWS credentials. The SDK
	// looks for them in the network last, where an address that nobody has
	// answers nothing. What comes later is there for the next request.
	credentialTime = 5 * time.Second
	// refreshAhead is how long before they expire credentials are renewed. For
	// that time a source may fail, which is asked again every refreshAgain, or be
	// slower than renewTime, and nobody notices.
	refreshAhead = 2 * time.Minute
	refreshAgain = 10 * time.Second
	renewTime    = 250 * time.Millisecond
	// roleSession is how the sessions of a role are named in the account's logs.
	roleSession = "anyproxy"
)

// An account is the SDK's view of a provider: settings and credentials from
// where AWS keeps them, read when they are first needed and again when what
// they gave was refused.
type account struct {
	cfg     config.Provider
	tell    func(credential.Renewal) // nil = nobody asks
	current atomic.Pointer[session]

	mu      sync.Mutex
	reading *reading // of the settings that is under way, guarded by mu; nil = none is
}

// A reading of the settings that others may wait for.
type reading struct {
	done chan struct{}
	s    *session
	err  error
}

// renewed tells of credentials that were asked for. Their id stands for them.
func (a *account) renewed(id string, took time.Duration, err error) {
	if r, ok := credential.Asked("AWS credentials", id, took, err); ok && a.tell != nil {
		r.Owner = a.cfg.Name
		a.tell(r)
	}
}

// A session is one reading of the settings.
type session struct {
	client *bedrockruntime.Client
	region string
	// credentials sign the requests; nil where a bearer token is shown.
	credentials aws.CredentialsProvider
	source      string // where the credentials are looked for, for people
	login       string // the command that begins a new SSO session, "" where none is used
	// unapplied are switches of the SDK's that an endpoint of its own overrules.
	unapplied []string
}

// session gives the current one.
func (a *account) session(ctx context.Context) (*session, error) {
	if s := a.current.Load(); s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, credentialTime)
	defer cancel()
	s, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	if !a.current.CompareAndSwap(nil, s) {
		s = a.current.Load()
	}
	return s, nil
}

// read reads the settings, once for all who wait, each as long as it likes: to
// open a file can take for ever, if it is a pipe or on a server that is gone, and
// nothing ends that.
func (a *account) read(ctx context.Context) (*session, error) {
	a.mu.Lock()
	r := a.reading
	if r == nil {
		r = &reading{done: make(chan struct{})}
		a.reading = r
		go func() {
			r.s, r.err = a.open(context.WithoutCancel(ctx))
			a.mu.Lock()
			a.reading = nil
			a.mu.Unlock()
			close(r.done)
		}()
	}
	a.mu.Unlock()
	select {
	case <-r.done:
		return r.s, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the AWS settings cannot be read in time; is one of their files a pipe, or on a server that is gone? (%w)", context.Cause(ctx))
	}
}

// open reads the settings. It looks into the environment and files, not into
// the network.
func (a *account) open(ctx context.Context) (*session, error) {
	if a.cfg.Auth == config.AuthBearer && a.cfg.Region != "" {
		return a.openBearer()
	}
	// The SDK's caches would give credentials up minutes before their end.
	atTheEnd := func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow, o.ExpiryWindowJitterFrac = 0, 0 }
	// Its own logger writes to the standard error, where a dashboard may be.
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithCredentialsCacheOptions(atTheEnd), awsconfig.WithLogger(logging.Nop{})}
	if a.cfg.Region != "" {
		options = append(options, awsconfig.WithRegion(a.cfg.Region))
	}
	if a.cfg.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(a.cfg.Profile))
	}
	c, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS settings: %w", err)
	}
	if c.Region == "" {
		return nil, fmt.Errorf("no AWS region: set region, AWS_REGION, or one in the profile %s", a.profile(nil))
	}
	shared := sharedConfig(c)
	s := &session{region: c.Region, credentials: c.Credentials, source: a.source(shared), login: a.login(shared)}
	if a.cfg.Auth == config.AuthBearer {
		s.credentials = nil // the files were read for the region
	} else if a.cfg.RoleARN != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c), a.cfg.RoleARN, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = roleSession })
		s.credentials = renewed(role, a.renewed)
	} else {
		s.credentials = renewed(c.Credentials, a.renewed)
	}
	s.client = bedrockruntime.NewFromConfig(c, a.clientOptions(s))
	return s, nil
}

// openBearer needs nothing of what AWS keeps in files: a token and a region say
// it all. The environment may still say which endpoint is meant.
func (a *account) openBearer() (*session, error) {
	env, err := awsconfig.NewEnvConfig()
	if err != nil {
		return nil, fmt.Errorf("read the AWS settings of the environment: %w", err)
	}
	s := &session{region: a.cfg.Region}
	s.client = bedrockruntime.NewFromConfig(aws.Config{Region: a.cfg.Region, ConfigSources: []any{env}}, a.clientOptions(s))
	return s, nil
}

// clientOptions leave to the proxy what is the proxy's: to repeat a request is
// its decision, and it has been told which credential to show.
func (a *account) clientOptions(s *session) func(*bedrockruntime.Options) {
	return func(o *bedrockruntime.Options) {
		o.RetryMaxAttempts, o.Retryer = 1, aws.NopRetryer{}
		o.Credentials = s.credentials
		o.AuthSchemePreference = []string{"sigv4"}
		if s.credentials == nil {
			o.AuthSchemePreference = []string{"httpBearerAuth"}
		}
		o.BearerAuthSigner = bearerSigner{}
		if a.cfg.Endpoint != "" {
			o.BaseEndpoint = &a.cfg.Endpoint
		}
		if o.BaseEndpoint == nil {
			return
		}
		// The SDK refuses both together. An address is the more precise wish.
		if e := &o.EndpointOptions; e.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled {
			e.UseFIPSEndpoint = aws.FIPSEndpointStateDisabled
			s.unapplied = append(s.unapplied, "use_fips_endpoint")
		}
		if e := &o.EndpointOptions; e.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled {
			e.UseDualStackEndpoint = aws.DualStackEndpointStateDisabled
			s.unapplied = append(s.unapplied, "use_dualstack_endpoint")
		}
	}
}

// bearerSigner shows a bearer token. The SDK's own refuses plain http also on
// loopback; config warns where it goes further.
type bearerSigner struct{}

func (bearerSigner) SignWithBearerToken(_ context.Context, t bearer.Token, m bearer.Message) (bearer.Message, error) {
	req, ok := m.(*smithyhttp.Request)
	if !ok {
		return nil, fmt.Errorf("sign a %T", m)
	}
	req = req.Clone()
	req.Header.Set("Authorization", "Bearer "+t.Value)
	return req, nil
}

// retrieve gives the credentials that sign, the zero value where none do.
func (s *session) retrieve(ctx context.Context) (aws.Credentials, error) {
	if s.credentials == nil {
		return aws.Credentials{}, nil
	}
	c, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return c, s.explain(err)
	}
	return c, nil
}

// renew has the settings read once more when the upstream refused the
// credentials that they gave: files may hold others by now. It reports whether
// they do.
func (a *account) renew(ctx context.Context, s *session, refused aws.Credentials) bool {
	if s.credentials == nil {
		return false
	}
	if a.current.Load() == s {
		fresh, err := a.read(ctx)
		if err != nil {
			return false
		}
		a.current.CompareAndSwap(s, fresh)
	}
	now, err := a.current.Load().retrieve(ctx)
	return err == nil && (now.AccessKeyID != refused.AccessKeyID || now.SecretAccessKey != refused.SecretAccessKey || now.SessionToken != refused.SessionToken)
}

// explain says of credentials that did not come what was tried, and what will
// bring them.
func (s *session) explain(err error) error {
	if s.login != "" && loginEnded(err) {
		return fmt.Errorf("the AWS SSO session has ended: run %s (%w)", s.login, err)
	}
	return fmt.Errorf("no AWS credentials, tried %s: %w", s.source, err)
}

// loginEnded reports whether only a new login can give credentials.
func loginEnded(err error) bool {
	var token *ssocreds.InvalidTokenError
	var api smithy.APIError
	switch {
	case errors.As(err, &token):
		return true
	case errors.As(err, &api):
		return api.ErrorCode() == "UnauthorizedException" || api.ErrorCode() == "InvalidGrantException" || api.ErrorCode() == "ExpiredTokenException"
	default:
		return strings.Contains(err.Error(), "cached SSO token")
	}
}

// sharedConfig is the profile that was read from AWS's files, nil without one.
func sharedConfig(c aws.Config) *awsconfig.SharedConfig {
	for _, source := range c.ConfigSources {
		if shared, ok := source.(awsconfig.SharedConfig); ok {
			return &shared
		}
	}
	return nil
}

// profile is the name of the profile in use.
func (a *account) profile(shared *awsconfig.SharedConfig) string {
	switch {
	case a.cfg.Profile != "":
		return a.cfg.Profile
	case shared != nil && shared.Profile != "":
		return shared.Profile
	default:
		return "default"
	}
}

// login is the command that begins a new SSO session, also where the profile's
// role is taken on with another profile's session.
func (a *account) login(shared *awsconfig.SharedConfig) string {
	for s := shared; s != nil; s = s.Source {
		switch {
		case s.SSOSessionName == "" && s.SSOStartURL == "":
		case s == shared:
			return "aws sso login --profile " + a.profile(s)
		default:
			return "aws sso login --profile " + s.Profile
		}
	}
	return ""
}

func (a *account) source(shared *awsconfig.SharedConfig) string {
	tried := "the profile " + a.profile(shared)
	if a.cfg.Profile == "" {
		tried = "the environment (AWS_ACCESS_KEY_ID, web identity), " + tried + " and the metadata services of containers and EC2"
	}
	if a.cfg.RoleARN != "" {
		tried += ", to take on the configured role"
	}
	return tried
}
