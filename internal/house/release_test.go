package house

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// releaseConfig is what .goreleaser.yaml may say, by https://goreleaser.com/customization:
// a key that is not here is a slip, or wants a look.
type releaseConfig struct {
	Version     int
	ProjectName string `yaml:"project_name"`
	Builds      []struct {
		Main, Binary        string
		Env                 []string
		Goos, Goarch, Flags []string
		Ldflags             string
		ModTimestamp        string `yaml:"mod_timestamp"`
	}
	Archives []struct {
		Formats         []string
		FormatOverrides []struct {
			Goos    string
			Formats []string
		} `yaml:"format_overrides"`
		NameTemplate string `yaml:"name_template"`
		Files        []string
	}
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
		Algorithm    string
	}
	Snapshot struct {
		VersionTemplate string `yaml:"version_template"`
	}
	Changelog struct{ Disable bool }
	Release   struct{ Draft bool }
}

func readRelease(t *testing.T) releaseConfig {
	t.Helper()
	dec := yaml.NewDecoder(bytes.NewReader(readFile(t, ".goreleaser.yaml")))
	dec.KnownFields(true)
	var c releaseConfig
	if err := dec.Decode(&c); err != nil {
		t.Fatalf(".goreleaser.yaml: %v", err)
	}
	if c.Version != 2 || len(c.Builds) != 1 || len(c.Archives) != 1 {
		t.Fatalf(".goreleaser.yaml: version %d with %d builds and %d archives, want version 2 with one of each", c.Version, len(c.Builds), len(c.Archives))
	}
	return c
}

// TestReleaseBuild builds as a release does, for this machine, and asks the
// program what it is.
func TestReleaseBuild(t *testing.T) {
	b := readRelease(t).Builds[0]
	bin := filepath.Join(t.TempDir(), b.Binary+exe())
	ldflags := strings.NewReplacer("{{.Version}}", "1.2.3", "{{.FullCommit}}", "0123456789abcdef", "{{.CommitDate}}", "2026-11-26T00:00:00Z").Replace(b.Ldflags)
	if strings.Contains(ldflags, "{{") {
		t.Fatalf("ldflags have a field that this test does not know: %s", ldflags)
	}
	args := append([]string{"build", "-o", bin, "-buildvcs=false", "-ldflags", ldflags}, b.Flags...)
	build := exec.Command("go", append(args, b.Main)...)
	build.Dir, build.Env = root, append(os.Environ(), b.Env...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(bin, "-version").Output()
	if want := "anyproxy v1.2.3 (commit 0123456789ab, 2026-11-26T00:00:00Z, " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + ")\n"; err != nil || string(out) != want {
		t.Errorf("-version: %v, %q, want %q", err, out, want)
	}
	made, err := exec.Command("go", "version", "-m", bin).Output()
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath=true"} {
		if !strings.Contains(string(made), want) {
			t.Errorf("it is not made with %s: %v\n%s", want, err, made)
		}
	}
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// TestReleasePacksWhatIsThere holds that each pattern of the archives finds
// something, and that the documents people look for are among it.
func TestReleasePacksWhatIsThere(t *testing.T) {
	found := map[string]bool{}
	for _, pattern := range readRelease(t).Archives[0].Files {
		list, err := filepath.Glob(filepath.Join(root, strings.ReplaceAll(pattern, "**", "*")))
		if err != nil || len(list) == 0 {
			t.Errorf("%s: finds nothing, %v", pattern, err)
		}
		for _, name := range list {
			rel, _ := filepath.Rel(root, name)
			found[filepath.ToSlash(rel)] = true
		}
	}
	for _, want := range []string{"README.md", "LICENSE", "CHANGELOG.md", "example.config.yaml", "deploy/systemd/anyproxy.service"} {
		if !found[want] {
			t.Errorf("%s is not packed", want)
		}
	}
}

// instructions are those of a Dockerfile, continued lines joined.
func instructions(text []byte) (list []string) {
	joined := bytes.ReplaceAll(text, []byte("\\\n"), nil)
	for line := range strings.Lines(string(joined)) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// TestImage holds what the image promises: the Go that go.mod asks for, the
// same static build as a release, no root, the port that it listens on.
func TestImage(t *testing.T) {
	lines := instructions(readFile(t, "deploy/docker/Dockerfile"))
	text := strings.Join(lines, "\n")
	b := readRelease(t).Builds[0]
	module := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(readFile(t, "go.mod"))
	for _, want := range []string{
		"golang:" + string(module[1]) + " AS build", b.Env[0], "go build " + strings.Join(b.Flags, " "), "anyproxy/internal/cli.version=$VERSION",
		"FROM gcr.io/distroless/static-debian12:nonroot", "USER nonroot", "EXPOSE 8080", `CMD ["-listen", "0.0.0.0:8080"]`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile does not have %s", want)
		}
	}
	last := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "FROM ") {
			last = i
		}
	}
	for _, line := range lines[last:] {
		if strings.HasPrefix(line, "RUN ") {
			t.Errorf("the last stage has no shell: %s", line)
		}
	}
	ignored := string(readFile(t, "deploy/docker/Dockerfile.dockerignore"))
	for _, want := range []string{"config.yaml", "**/*.jsonl"} {
		if !strings.Contains(ignored, want+"\n") {
			t.Errorf("the build gets %s, which may hold secrets", want)
		}
	}
}

// TestService has systemd check the unit, as a user would have it at home.
func TestService(t *testing.T) {
	const unit = "deploy/systemd/anyproxy.service"
	settings := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(readFile(t, unit))); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			settings[key] = value
		}
	}
	for key, want := range map[string]string{"NoNewPrivileges": "yes", "UMask": "0077", "WantedBy": "default.target", "ExecReload": "kill -HUP $MAINPID"} {
		if settings[key] != want {
			t.Errorf("%s is %q, want %q", key, settings[key], want)
		}
	}
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("NOT TESTED: the unit's words, because there is no systemd")
	}
	home := t.TempDir()
	installed := filepath.Join(home, ".local/bin/anyproxy")
	if err := os.MkdirAll(filepath.Dir(installed), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(installed, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	verify := exec.Command(program, "--user", "--man=no", "verify", filepath.Join(root, unit))
	verify.Env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home, "PATH=" + os.Getenv("PATH")}
	out, err := verify.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("anyproxy.service")) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestReleaseStep holds that .ci/run builds what a release does.
func TestReleaseStep(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("NOT TESTED: what .ci/run builds, because there is no bash")
	}
	b := readRelease(t).Builds[0]
	for key, list := range map[string][]string{"goos": b.Goos, "goarch": b.Goarch, "flags": b.Flags} {
		out, err := exec.Command("bash", "-c", `cd "$1" && source <(sed -n '/^build_list()/,/^}/p' .ci/run) && build_list `+key, "-", root).Output()
		if got := strings.Fields(string(out)); err != nil || !reflect.DeepEqual(got, list) {
			t.Errorf(".ci/run builds with %s %q, %v, a release with %q", key, got, err, list)
		}
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
