//go:build e2e && unix

package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"time"
)

// install is where the pinned clients are.
type install struct {
	claude string // Claude Code's program for this platform
	node   string
	sdk    string // the SDK's main module
}

// unreachable matches npm's words for a registry that it cannot get at. All
// other failures, a wrong hash above all, are not excused.
var unreachable = regexp.MustCompile(`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT`)

const installTimeout = 5 * time.Minute

// installClients returns the clients from the cache, which it fills first when
// needed. missing says why this machine cannot have them.
func installClients() (in install, missing, err error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return install{}, fmt.Errorf("Node.js is not installed: %w", err), nil
	}
	dir, err := cacheDir()
	if err != nil {
		return install{}, nil, err
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if missing, err := fillCache(dir); missing != nil || err != nil {
			return install{}, missing, err
		}
	}
	programs, err := filepath.Glob(filepath.Join(dir, "node_modules/@anthropic-ai/claude-code-*/claude"))
	if err != nil {
		return install{}, nil, err
	}
	if len(programs) == 0 {
		return install{}, fmt.Errorf("Claude Code has no program for %s/%s", runtime.GOOS, runtime.GOARCH), nil
	}
	return install{claude: programs[0], node: node, sdk: filepath.Join(dir, "node_modules/@anthropic-ai/sdk/index.mjs")}, nil, nil
}

// cacheDir is named for the lock file: another pin is another folder.
func cacheDir() (string, error) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		return "", err
	}
	base := os.Getenv("ANYPROXY_E2E_CACHE")
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(user, "anyproxy-e2e")
	}
	return filepath.Join(base, fmt.Sprintf("%x-%s-%s", sha256.Sum256(lock), runtime.GOOS, runtime.GOARCH)), nil
}

// fillCache installs beside dir and renames, so that dir is whole or absent.
func fillCache(dir string) (missing, err error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("npm is not installed: %w", err), nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "fresh-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(fresh, name), data, 0o644); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	// No scripts: Claude Code's own would only copy the program, which is used where it lies.
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
	cmd.Dir = fresh
	if out, err := cmd.CombinedOutput(); err != nil {
		if unreachable.Match(out) || ctx.Err() != nil {
			return fmt.Errorf("npm cannot be reached: %s", unreachable.Find(out)), nil
		}
		return nil, fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return nil, nil
}
