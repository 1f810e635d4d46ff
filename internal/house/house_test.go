package house

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "anyproxy"

// root is the repository seen from this package's folder.
const root = "../.."

// An arrow says what one package may import beside the standard library.
type arrow struct {
	from    string   // a folder, or a pattern of path.Match; the first that matches holds
	ours    []string // folders or patterns; "**" is all of ours
	modules []string // import paths of other modules
	tests   []string // what its tests may import besides, ours and others
}

// arrows is the house. They point down only and siblings are strangers; other
// modules stay at the edge. A package that is not here has no place yet.
var arrows = []arrow{
	{from: ".", ours: []string{"internal/cli", "internal/noprobe"}},
	{from: "internal/cli", ours: []string{"**"}, modules: []string{tea, xterm, ansi, "github.com/muesli/cancelreader", "github.com/gofrs/flock"},
		tests: []string{"github.com/rogpeppe/go-internal/testscript", unix}},
	{from: "internal/bench", ours: []string{"**"}}, // a program of its own, beside main
	{from: "internal/logging", ours: []string{"internal/redact", "metrics"}},
	{from: "internal/noprobe", modules: []string{tea, lipgloss}, tests: []string{"tui", "internal/noprobe/ptytest"}},
	{from: "internal/noprobe/ptytest", modules: []string{unix}, tests: []string{tea}},
	{from: "internal/simulator", ours: []string{"internal/simulator/*", "internal/grammar"}, modules: []string{eventstream, eventstream + "/eventstreamapi"},
		tests: []string{openai, openai + "/option", sdk + "/aws", sdk + "/aws/signer/v4"}},
	{from: "internal/simulator/*", ours: []string{"internal/simulator", "internal/grammar"}},
	{from: "internal/jsonscan", modules: []string{"golang.org/x/sys/cpu"}},
	{from: "internal/jsonline", modules: []string{"golang.org/x/sys/cpu"}, tests: []string{"internal/jsonline/jsonlinetest"}},
	{from: "internal/jsonline/jsonlinetest"},
	{from: "internal/redact", modules: []string{"golang.org/x/sys/cpu"}},
	{from: "internal/house", tests: []string{"gopkg.in/yaml.v3"}}, // reads the configuration of other tools
	{from: "internal/*"},
	{from: "config", modules: []string{"gopkg.in/yaml.v3", "github.com/fsnotify/fsnotify"}},
	{from: "metrics"},
	{from: "metrics/prom", ours: []string{"metrics"}, modules: []string{"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/collectors",
		"github.com/prometheus/client_golang/prometheus/promhttp"}},
	{from: "metrics/ledger", ours: []string{"metrics", "internal/contain", "internal/jsonline"}, tests: []string{"internal/jsonline/jsonlinetest"}},
	{from: "metrics/*", ours: []string{"metrics", "internal/contain"}}, // who starts a goroutine keeps its panic
	{from: "providers", ours: []string{"config"}},
	{from: "providers/bedrock", ours: shared, modules: []string{sdk + "/aws", sdk + "/aws/signer/v4", sdk + "/config", sdk + "/credentials/ssocreds", sdk + "/credentials/stscreds",
		sdk + "/service/bedrockruntime", sdk + "/service/bedrockruntime/types", sdk + "/service/sts",
		smithy, smithy + "/auth/bearer", smithy + "/logging", smithy + "/middleware", smithy + "/transport/http"}, tests: []string{eventstream}},
	{from: "providers/credential", ours: []string{"config", "internal/redact", "internal/contain"}, modules: []string{"golang.org/x/oauth2", "github.com/zalando/go-keyring"}},
	{from: "providers/upstream/http1"}, // a client of HTTP knows nothing of the house
	{from: "providers/upstream", ours: append([]string{"providers/upstream/http1", "internal/quiet"}, shared...), modules: []string{unix}}, // for a socket option that syscall has no name for
	{from: "providers/*", ours: shared, tests: []string{"internal/grammar", openai}},
	{from: "proxy", ours: []string{"providers", "providers/sse", "providers/tokens", "metrics", "metrics/ledger", "metrics/price", "config", "proxy/*", "internal/jsonscan", "internal/redact", "internal/contain"},
		tests: []string{"providers/anthropic", "providers/credential"}},
	{from: "proxy/front", modules: []string{unix}, tests: []string{"internal/quiet"}}, // a server of HTTP knows nothing of the house; unix has epoll for every Linux
	{from: "proxy/routing", ours: []string{"metrics"}},
	// It plays to the router that serves, and keeps budgets as the proxy does.
	{from: "proxy/replay", ours: []string{"metrics", "metrics/ledger", "proxy/routing", "internal/jsonscan"}, tests: []string{"proxy/requestlog"}},
	{from: "proxy/requestlog", ours: []string{"metrics", "config", "internal/jsonline", "internal/redact", "internal/contain"}, tests: []string{"internal/jsonline/jsonlinetest"}},
	{from: "tui", ours: []string{"metrics", "config"}, modules: []string{tea, lipgloss, ansi, xterm},
		tests: []string{"internal/noprobe/ptytest", unix}},
	{from: "e2e", ours: []string{"internal/simulator", "internal/shapes", "internal/grammar"}},
}

// shared is what the providers of all formats may use.
var shared = []string{"providers", "config", "providers/sse", "providers/credential", "providers/ratelimit", "providers/upstream",
	"providers/messages", "providers/tokens", "providers/listing", "internal/jsonscan", "internal/redact"}

const (
	tea      = "github.com/charmbracelet/bubbletea"
	lipgloss = "github.com/charmbracelet/lipgloss"
	ansi     = "github.com/charmbracelet/x/ansi"
	xterm    = "github.com/charmbracelet/x/term"
	unix     = "golang.org/x/sys/unix"
	openai   = "github.com/openai/openai-go" // the oracle of what is sent in its format
	goleak   = "go.uber.org/goleak"          // for every test

	sdk         = "github.com/aws/aws-sdk-go-v2"
	smithy      = "github.com/aws/smithy-go"
	eventstream = sdk + "/aws/protocol/eventstream"
)

// source is one Go file.
type source struct {
	file    string // relative to the root, with slashes
	imports []string
}

func TestArrowsPointDown(t *testing.T) {
	sources := readSources(t, os.DirFS(root))
	if len(sources) < 20 {
		t.Fatalf("found only %d Go files: is this the repository?", len(sources))
	}
	for _, wrong := range check(sources) {
		t.Error(wrong)
	}
}

func TestArrowsCatchWrongEdges(t *testing.T) {
	for _, c := range []struct{ file, imports string }{
		{"main.go", "anyproxy/proxy"},
		{"proxy/server.go", "anyproxy/tui"},
		{"proxy/server.go", "anyproxy/providers/anthropic"},
		{"proxy/server_test.go", "anyproxy/tui"},
		{"proxy/routing/route.go", "anyproxy/proxy"},
		{"proxy/new/new.go", "fmt"},
		{"metrics/meter.go", "anyproxy/config"},
		{"metrics/meter.go", "go.uber.org/goleak"},
		{"metrics/meter_windows.go", "golang.org/x/sys/windows"},
		{"config/load.go", "anyproxy/providers"},
		{"internal/cli/reload.go", "github.com/fsnotify/fsnotify"},
		{"providers/provider.go", "anyproxy/metrics"},
		{"providers/openai/openai.go", "anyproxy/providers/anthropic"},
		{"providers/anthropic/anthropic.go", "gopkg.in/yaml.v3"},
		{"providers/anthropic/anthropic.go", "github.com/aws/aws-sdk-go-v2/aws"},
		{"internal/cli/build.go", "github.com/aws/aws-sdk-go-v2/config"},
		{"tui/model.go", "anyproxy/proxy"},
		{"proxy/server.go", "anyproxy/providers/credential"},
		{"metrics/ledger/ledger.go", "anyproxy/metrics/prom"},
		{"internal/jsonscan/scan.go", "anyproxy/config"},
		{"internal/new/new.go", "anyproxy/internal/cli"},
	} {
		t.Run(c.file+" imports "+c.imports, func(t *testing.T) {
			if found := check([]source{{c.file, []string{c.imports}}}); len(found) != 1 {
				t.Errorf("got %q, want one complaint", found)
			}
		})
	}
	good := []source{{"proxy/server.go", []string{"net/http", "anyproxy/metrics"}}, {"proxy/server_test.go", []string{goleak, "anyproxy/providers/anthropic"}}}
	if found := check(good); len(found) != 0 {
		t.Errorf("complaints about right edges: %q", found)
	}
}

// check returns one complaint for each import that no arrow allows.
func check(sources []source) (wrong []string) {
	for _, s := range sources {
		from := path.Dir(s.file)
		i := slices.IndexFunc(arrows, func(a arrow) bool { return matches(a.from, from) })
		if i < 0 {
			wrong = append(wrong, fmt.Sprintf("%s: folder %s has no arrow", s.file, from))
			continue
		}
		test := strings.HasSuffix(s.file, "_test.go")
		for _, imp := range s.imports {
			if !arrows[i].allows(from, imp, test) {
				wrong = append(wrong, fmt.Sprintf("%s: %s must not import %s", s.file, from, imp))
			}
		}
	}
	return wrong
}

// allows reports whether a file in the folder from, a test or not, may import imp.
func (a arrow) allows(from, imp string, test bool) bool {
	first, folder, _ := strings.Cut(imp, "/")
	switch {
	case first == module:
		return slices.ContainsFunc(a.ours, func(p string) bool { return matches(p, folder) }) ||
			test && (folder == from || slices.Contains(a.tests, folder))
	case strings.Contains(first, "."):
		return slices.Contains(a.modules, imp) || test && (imp == goleak || slices.Contains(a.tests, imp))
	default:
		return true // the standard library
	}
}

func matches(pattern, folder string) bool {
	if pattern == "**" {
		return true
	}
	ok, err := path.Match(pattern, folder)
	if err != nil {
		panic(err)
	}
	return ok
}

// readSources parses the imports of every Go file, whatever its build
// constraints: go list would show those of one system only.
func readSources(t *testing.T, tree fs.FS) (sources []source) {
	t.Helper()
	for _, file := range files(t, tree) {
		if !strings.HasSuffix(file, ".go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, read(t, tree, file), parser.ImportsOnly)
		if err != nil {
			t.Fatalf("read imports: %v", err)
		}
		s := source{file: file}
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			s.imports = append(s.imports, imp)
		}
		sources = append(sources, s)
	}
	return sources
}

// leftover matches what a run leaves in the tree; .gitignore names the same.
var leftover = regexp.MustCompile(`^(anyproxy|config\.yaml)$|\.(jsonl|prof|test|exe)$`)

// files lists the repository's own files.
func files(t *testing.T, tree fs.FS) (all []string) {
	t.Helper()
	err := fs.WalkDir(tree, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.Name() == ".git": // of a worktree
		case d.Type().IsRegular() && !leftover.MatchString(file):
			all = append(all, file)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk the repository: %v", err)
	}
	return all
}

func read(t *testing.T, tree fs.FS, file string) []byte {
	t.Helper()
	data, err := fs.ReadFile(tree, file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// pretend matches the names of what only pretends to be an upstream. The
// program proper must not know whether it is being shown off or used.
var pretend = regexp.MustCompile(`(?i:simulator)|\b[dD]emo(?:\b|[A-Z_])|(?:[a-z]D|_d)emo(?:\b|[A-Z_])`)

func TestProgramKnowsNoPretence(t *testing.T) {
	tree := os.DirFS(root)
	for _, file := range files(t, tree) {
		switch dir, _, _ := strings.Cut(file, "/"); dir {
		case "proxy", "metrics", "providers", "tui":
			if word := pretend.FindString(file); word != "" {
				t.Errorf("%s: the name holds %q", file, word)
			}
			if word := pretend.Find(read(t, tree, file)); word != nil {
				t.Errorf("%s: holds %q", file, word)
			}
		}
	}
}

func TestPretenceIsRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"a demo": true, "Demo mode": true, "demoMode": true, "isDemo": true, "run_demo_x": true, "-demo": true, "the Simulator": true,
		"demoted": false, "democracy": false, "demonstrates": false,
	} {
		if got := pretend.MatchString(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// machinePath matches an absolute path of somebody's machine.
var machinePath = regexp.MustCompile("(?:^|[\\s\"'=(,:`])/(?:work|root|home|Users)/[a-zA-Z0-9._-]+")

func TestNoPathOfAMachine(t *testing.T) {
	if !machinePath.MatchString("x := \"/ho" + "me/bob\"") {
		t.Error("the pattern matches nothing")
	}
	tree := os.DirFS(root)
	for _, file := range files(t, tree) {
		for n, line := range bytes.Split(read(t, tree, file), []byte("\n")) {
			if m := machinePath.Find(line); m != nil {
				t.Errorf("%s:%d: holds %q", file, n+1, m)
			}
		}
	}
}

// Packages are initialised in the order of their import paths once what they
// import is ready, and Bubble Tea asks the terminal for its colours at init.
// noprobe can answer first only if its path sorts before.
func TestModuleSortsBeforeBubbleTea(t *testing.T) {
	line, _, _ := strings.Cut(string(read(t, os.DirFS(root), "go.mod")), "\n")
	if line != "module "+module || line >= "module "+tea {
		t.Errorf("go.mod begins with %q, want \"module %s\", which must sort before %s", line, module, tea)
	}
}
