package bedrock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/listing"
	"anyproxy/providers/upstream"
)

// The lists of models are those of Bedrock itself, a service beside its runtime
// (docs.aws.amazon.com/bedrock/latest/APIReference, ListFoundationModels and
// ListInferenceProfiles). For two GETs its whole client would weigh too much.
const (
	foundationModels  = "/foundation-models"
	inferenceProfiles = "/inference-profiles"
	signingName       = "bedrock"
	profilesOfPage    = "1000"
	mostPages         = 20
)

// Models asks Bedrock for the models and inference profiles that the account's
// region has. Neither says how large a context is, nor whether the account may
// use it.
func (p *Provider) Models(ctx context.Context) (listing.List, error) {
	var list listing.List
	s, err := p.account.session(ctx)
	if err != nil {
		return list, p.noCredentials(err)
	}
	signed, err := s.retrieve(ctx)
	if err != nil {
		return list, p.noCredentials(err)
	}
	base, err := controlPlane(p.account.cfg.Endpoint, s.region)
	if err != nil {
		return list, p.noCredentials(err)
	}
	add := func(path string, query url.Values) (next string, err error) {
		u := base.JoinPath(path)
		u.RawQuery = query.Encode()
		body, err := p.Get(ctx, func(key config.Secret) (*http.Request, error) { return p.listRequest(ctx, u, s.region, signed, key) })
		if err != nil {
			return "", listRefused(err)
		}
		list.Payloads = append(list.Payloads, body)
		page, err := listing.Parse(body)
		list.Models = append(list.Models, page.Models...)
		return page.Next, err
	}
	if _, err := add(foundationModels, nil); err != nil {
		return list, err
	}
	query := url.Values{"maxResults": {profilesOfPage}}
	for range mostPages {
		next, err := add(inferenceProfiles, query)
		if err != nil || next == "" || next == query.Get("nextToken") {
			return list, err
		}
		query.Set("nextToken", next)
	}
	return list, nil
}

// ModelID is Bedrock's own name of what a request for model asks for.
func (p *Provider) ModelID(ctx context.Context, model string) (string, error) {
	s, err := p.account.session(ctx)
	if err != nil {
		return "", p.noCredentials(err)
	}
	return modelID(model, s.region), nil
}

func (p *Provider) noCredentials(err error) error {
	return &providers.Error{Provider: p.Name, Class: providers.ClassCredential, Err: errors.New(forOperators(err.Error()))}
}

// listRefused keeps what AWS has said for operators.
func listRefused(err error) error {
	var e *providers.Error
	if errors.As(err, &e) && e.Status != 0 && e.Err != nil {
		e.Err = errors.New(forOperators(e.Err.Error()))
	}
	return err
}

// controlPlane is where Bedrock is for whom its runtime is at endpoint, "" being
// AWS's own. At an address of another's making both are sought.
func controlPlane(endpoint, region string) (*url.URL, error) {
	if endpoint == "" {
		domain := ".amazonaws.com"
		if strings.HasPrefix(region, "cn-") {
			domain += ".cn"
		}
		return &url.URL{Scheme: "https", Host: "bedrock." + region + domain}, nil
	}
	u, err := upstream.BaseURL(endpoint)
	if err != nil {
		return nil, err
	}
	if rest, ok := strings.CutPrefix(u.Host, "bedrock-runtime"); ok {
		u.Host = "bedrock" + rest
	}
	return u, nil
}

// emptyHash is the SHA-256 of no body at all.
var emptyHash = func() string { sum := sha256.Sum256(nil); return hex.EncodeToString(sum[:]) }()

func (p *Provider) listRequest(ctx context.Context, u *url.URL, region string, signed aws.Credentials, key config.Secret) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", jsonType)
	for name, value := range p.Headers {
		req.Header[name] = []string{value.Reveal()}
	}
	if key.Reveal() != "" {
		req.Header.Set("Authorization", "Bearer "+key.Reveal())
		return req, nil
	}
	return req, v4.NewSigner().SignHTTP(ctx, signed, req, emptyHash, signingName, region, time.Now())
}
