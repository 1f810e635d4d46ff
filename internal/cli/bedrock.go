package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"anyproxy/config"
	"anyproxy/internal/contain"
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
	impl.OnRenewal(b.vault.Renewed)
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if v := getenv(name); v != "" {
			b.secrets = append(b.secrets, v)
		}
	}
	b.checks = append(b.checks, func(ctx context.Context) (warnings []string) {
		if err := impl.Check(ctx); err != nil {
			warnings = append(warnings, fmt.Sprintf("provider %s: %v; until that is mended its requests go elsewhere", p.Name, err))
		}
		for _, name := range impl.Unapplied() {
			warnings = append(warnings, fmt.Sprintf("provider %s: AWS's %s is not applied: its endpoint says where requests go", p.Name, name))
		}
		return warnings
	})
	return impl, nil
}

// check makes all checks side by side, and waits for them for checkTime.
func (b *built) check(ctx context.Context, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	found := make([][]string, len(b.checks))
	var all sync.WaitGroup
	for i, check := range b.checks {
		all.Go(func() {
			defer contain.Panic(logger, "check of a provider")
			found[i] = check(ctx)
		})
	}
	all.Wait()
	b.warnings = slices.Concat(append([][]string{b.warnings}, found...)...)
}
