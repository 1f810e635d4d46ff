package cli

import (
	"context"
	"fmt"
	"time"

	"anyproxy/config"
	"anyproxy/providers/bedrock"
	"anyproxy/providers/credential"
)

// checkTime is how long a start waits for AWS credentials, to be able to say
// what is wrong with them. Who asks for credentials in the network may need
// longer; then the requests wait.
const checkTime = 2 * time.Second

// exportedKey is where AWS's tools look for a Bedrock API key.
const exportedKey = "AWS_BEARER_TOKEN_BEDROCK"

// withExportedKey has a provider show the key that is exported, as AWS's tools
// do, unless its configuration says how requests are signed.
func withExportedKey(p config.Provider, getenv func(string) string) config.Provider {
	if p.APIKey.Kind == config.SecretNone && p.Profile == "" && p.RoleARN == "" && getenv(exportedKey) != "" {
		p.APIKey = config.SecretRef{Kind: config.SecretEnv, Name: exportedKey}
		p.Auth = config.AuthBearer
	}
	return p
}

// bedrock makes a provider of type bedrock. Credentials that cannot be had are
// a warning: they may be there when they are needed.
func (b *built) bedrock(ctx context.Context, p config.Provider, key credential.Source, getenv func(string) string) (*bedrock.Provider, error) {
	impl, err := bedrock.New(p, key)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if v := getenv(name); v != "" {
			b.secrets = append(b.secrets, v)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := impl.Check(ctx); err != nil {
		b.warnings = append(b.warnings, fmt.Sprintf("provider %s: %v; until that is mended its requests go elsewhere", p.Name, err))
	}
	return impl, nil
}
