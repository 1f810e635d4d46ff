package main

import (
	"bytes"
	"compress/gzip"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// root is the repository seen from this package's folder.
const root = "../.."

// What is made from loads must be whole, and hold nothing of this machine.
func TestProfileIsMade(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the load program runs on Linux only")
	}
	if testing.Short() {
		t.Skip("starts many processes")
	}
	file := filepath.Join(t.TempDir(), "made.pgo")
	var out, errw bytes.Buffer
	if code := run(t.Context(), []string{"-quick", "-make-profile", file}, &out, &errw); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, errw.String(), out.String())
	}
	checkNames(t, file)
	found, err := readCalls(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	var ours bool
	for c := range found {
		ours = ours || strings.HasPrefix(c.callee, "anyproxy/")
	}
	if !ours {
		t.Errorf("none of the %d calls is of a function of anyproxy", len(found))
	}
}

func TestUsefulFunctions(t *testing.T) {
	for function, want := range map[string]bool{
		"anyproxy/proxy.(*exchange).relay": true, "anyproxy/providers/sse.(*Scanner).Next.func1": true, "runtime.mallocgc": true,
		"main.run": false, "aeshashbody": false, "type:.eq.anyproxy/config.Model": false,
		"_ZN6__tsanL14MemoryRangeSetEmmNS_9RawShadowE.part.0": false, "x_cgo_getstackbound.cold": false, "read.constprop.0": false,
	} {
		if useful(function) != want {
			t.Errorf("%s: useful %v", function, !want)
		}
	}
}

// The profile in the repository must fit its sources to a large part. When it
// no longer does, make it anew.
func TestProfileOfReleases(t *testing.T) {
	file := filepath.Join(root, filepath.FromSlash(profileFile))
	checkNames(t, file)
	info, err := os.Stat(file)
	if err != nil || info.Size() > 200_000 {
		t.Fatalf("%v, %v bytes, want at most 200 kB", err, info.Size())
	}
	found, err := readCalls(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	declared := functions(t, os.DirFS(root))
	var ours, there int64
	gone := map[string]bool{}
	for c, weight := range found {
		for _, name := range []string{c.caller, c.callee} {
			folder, names := split(name)
			if !strings.HasPrefix(folder, "anyproxy/") {
				continue
			}
			ours += weight
			if declared.has(strings.TrimPrefix(folder, "anyproxy/"), names) {
				there += weight
			} else {
				gone[name] = true
			}
		}
	}
	const least = 0.75
	if ours == 0 || float64(there) < least*float64(ours) {
		t.Errorf("the functions of %d of %d are no longer there: make the profile anew with\n\tgo run ./internal/bench -make-profile %s\n%q",
			ours-there, ours, profileFile, slices.Sorted(maps.Keys(gone)))
	}
	t.Logf("%d calls; of the weight of our own functions %.1f %% is there", len(found), 100*float64(there)/float64(ours))
}

// Release builds, and what this program builds like them, take the same file.
func TestReleasesUseTheProfile(t *testing.T) {
	config, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil || !bytes.Contains(config, []byte("-pgo="+profileFile+"]")) {
		t.Errorf(".goreleaser.yaml: no -pgo=%s, %v", profileFile, err)
	}
}

func TestCallsSurviveAProfile(t *testing.T) {
	want := calls{
		{"anyproxy/a.F", "anyproxy/a.(*T).G", 3}: 700,
		{"anyproxy/a.F", "anyproxy/a.(*T).G", 4}: 20,
		{"anyproxy/a.F", "anyproxy/a.F", 0}:      5, // recursion
		{"runtime.x", "runtime.y[...]", -7}:      1, // generated code
	}
	encoded, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "some.pgo")
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readCalls(t.Context(), file)
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", err, got, want)
	}
	again, err := got.encode()
	if err != nil || !bytes.Equal(again, encoded) {
		t.Errorf("the same calls give other bytes, %v", err)
	}
}

func TestLoadsCountAlike(t *testing.T) {
	all := calls{}
	all.add(calls{{"a.F", "a.G", 1}: 3, {"a.F", "a.H", 2}: 1, {"main.main", "a.F", 1}: 96, {"a.F", "memeqbody", 1}: 9, {"a.F", "type:.eq.a.T", 1}: 9})
	all.add(calls{{"a.F", "a.G", 1}: 5000, {"a.F", "a.I", 1}: 0})
	all.add(calls{})
	want := calls{{"a.F", "a.G", 1}: 1.75 * share, {"a.F", "a.H", 2}: share / 4}
	if !maps.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}
}

func TestProfileWithoutAPlaceIsRefusedAtOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the load program runs on Linux only")
	}
	var out, errw bytes.Buffer
	code := run(t.Context(), []string{"-make-profile", filepath.Join(t.TempDir(), "none", "made.pgo")}, &out, &errw)
	if code != 1 || !strings.HasPrefix(errw.String(), "bench: write the profile: ") || out.Len() > 0 {
		t.Errorf("exit code %d, %q, %q", code, out.String(), errw.String())
	}
}

func TestProfilesThatAreNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.pgo")
	if err := os.WriteFile(file, []byte("no profile"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + ".none"} {
		if found, err := readCalls(t.Context(), name); err == nil || !strings.Contains(err.Error(), "go tool preprofile: ") {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// checkNames holds that a profile has nothing but functions of Go, of anyproxy
// and of the modules that it is made from: no file, no host, no address.
func checkNames(t *testing.T, file string) {
	t.Helper()
	known := packages(t)
	for field, texts := range fields(t, inflated(t, file)) {
		switch field {
		case profileSampleType, profileSample:
		case profileLocation:
			for _, m := range texts {
				only(t, "a location", m, locationID, locationLine)
			}
		case profileFunction:
			for _, m := range texts {
				only(t, "a function", m, functionID, functionName, functionStartLine)
			}
		case profileString:
			for _, s := range texts {
				if folder, _ := split(string(s)); !known(folder) && !slices.Contains([]string{"", "cpu", "nanoseconds"}, string(s)) {
					t.Errorf("%s holds %q, which is no function of Go, anyproxy or its modules", file, s)
				}
			}
		default:
			t.Errorf("%s has the field %d", file, field)
		}
	}
}

// only holds that a message has no other fields than those.
func only(t *testing.T, what string, m []byte, allowed ...protowire.Number) {
	t.Helper()
	found := fields(t, m)
	for _, field := range allowed {
		delete(found, field)
	}
	if len(found) > 0 {
		t.Errorf("%s has other fields than %v: %v", what, allowed, found)
	}
}

// fields are a message's, with the contents of those that have some.
func fields(t *testing.T, m []byte) map[protowire.Number][][]byte {
	t.Helper()
	found := map[protowire.Number][][]byte{}
	for len(m) > 0 {
		field, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		m = m[n:]
		var content []byte
		if kind == protowire.BytesType {
			content, n = protowire.ConsumeBytes(m)
		} else {
			n = protowire.ConsumeFieldValue(field, kind, m)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		m, found[field] = m[n:], append(found[field], content)
	}
	return found
}

func inflated(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// split takes a symbol apart: the package's import path, and what is behind it.
func split(symbol string) (folder, names string) {
	plain := symbol
	if i := strings.IndexAny(plain, "[("); i >= 0 {
		plain = plain[:i]
	}
	slash := strings.LastIndex(plain, "/") + 1
	dot := strings.Index(plain[slash:], ".")
	if dot < 0 {
		return "", symbol
	}
	return strings.ReplaceAll(symbol[:slash+dot], "%2e", "."), symbol[slash+dot+1:]
}

// packages tells whether an import path is one of Go's, or of a module in go.mod.
func packages(t *testing.T) func(folder string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "std")
	list.Env = append(os.Environ(), "GOOS=linux") // where profiles are made
	standard, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	std := strings.Fields(string(standard))
	modules := []string{"anyproxy"}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v`).FindAllStringSubmatch(string(text), -1) {
		modules = append(modules, m[1])
	}
	return func(folder string) bool {
		for _, m := range modules {
			if folder == m || strings.HasPrefix(folder, m+"/") {
				return true
			}
		}
		return slices.Contains(std, folder)
	}
}

// declarations are the names of functions, T.M for methods, by folder.
type declarations map[string]map[string]bool

// has tells whether a function is there, or the one that a function without a
// name stands in.
func (d declarations) has(folder, names string) bool {
	names = strings.NewReplacer("(*", "", ")", "").Replace(names)
	names, _, _ = strings.Cut(names, "[")
	parts := strings.Split(strings.TrimSuffix(names, "-fm"), ".")
	return d[folder][parts[0]] || len(parts) > 1 && d[folder][parts[0]+"."+parts[1]]
}

func functions(t *testing.T, tree fs.FS) declarations {
	t.Helper()
	found := declarations{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		if found[folder] == nil {
			found[folder] = map[string]bool{"init": true, "glob": true} // what stands in a var
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				found[folder][receiver(f)+f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// receiver is "T." for a method of T or *T.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if index, ok := kind.(*ast.IndexExpr); ok {
		kind = index.X
	}
	return kind.(*ast.Ident).Name + "."
}
