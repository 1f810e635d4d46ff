package config_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"anyproxy/config"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watching runs a Watcher of a file until the test ends, past its first word.
func watching(t *testing.T, path string) *config.Watcher {
	t.Helper()
	w, err := config.NewWatcher(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { stop(); ran.Wait() })
	<-w.Changes()
	return w
}

// told waits until the file reads as it should: a step of several can be told
// before the last one is done.
func told(t *testing.T, w *config.Watcher, path, want string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case <-w.Changes():
			if got, _ := os.ReadFile(path); string(got) == want {
				return
			}
		case <-late:
			got, err := os.ReadFile(path)
			t.Fatalf("not told of %q; the file reads %q (%v)", want, got, err)
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// shell runs a command of the system in a folder.
func shell(t *testing.T, dir string, argv ...string) {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Skipf("NOT TESTED: a watched folder, because there is no %s", argv[0])
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

// TestWatchSeesEveryWayToSave does what editors and deployments do, twice each:
// after the first time another file may stand there.
func TestWatchSeesEveryWayToSave(t *testing.T) {
	for name, save := range map[string]func(t *testing.T, dir, path, text string){
		"in place": func(t *testing.T, _, path, text string) { must(t, write(path, text)) },
		"in place, slowly": func(t *testing.T, _, path, text string) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
			must(t, err)
			for _, b := range []byte(text) {
				_, err := f.Write([]byte{b})
				must(t, err)
			}
			must(t, f.Close())
		},
		"a new file renamed over it": func(t *testing.T, dir, path, text string) {
			must(t, write(filepath.Join(dir, ".new"), text), os.Rename(filepath.Join(dir, ".new"), path))
		},
		"the old one renamed to a backup, as vim does": func(t *testing.T, _, path, text string) {
			must(t, os.Rename(path, path+"~"), write(path, text), os.Remove(path+"~"))
		},
		"vanished and returned": func(t *testing.T, _, path, text string) {
			must(t, os.Remove(path))
			must(t, write(path, text))
		},
		"sed -i": func(t *testing.T, dir, path, text string) {
			shell(t, dir, "sed", "-i", "s/.*/"+text+"/", path)
		},
		"cp": func(t *testing.T, dir, path, text string) {
			other := filepath.Join(dir, "other")
			must(t, write(other, text))
			shell(t, dir, "cp", other, path)
		},
		"by a hard link in another folder": func(t *testing.T, _, path, text string) {
			other := filepath.Join(t.TempDir(), "link")
			must(t, os.Link(path, other), write(other, text))
		},
		"the folder replaced": func(t *testing.T, dir, path, text string) {
			must(t, os.RemoveAll(dir), os.Mkdir(dir, 0o700), write(path, text))
		},
		"the folder moved away": func(t *testing.T, dir, path, text string) {
			must(t, os.Rename(dir, dir+text), os.Mkdir(dir, 0o700), write(path, text))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "etc")
			path := filepath.Join(dir, "config.yaml")
			must(t, os.Mkdir(dir, 0o700), write(path, "first"))
			w := watching(t, path)
			for _, text := range []string{"second", "third"} {
				save(t, dir, path, text)
				told(t, w, path, text)
			}
		})
	}
}

// TestWatchFollowsLinks has the links that lead to a file.
func TestWatchFollowsLinks(t *testing.T) {
	// swap points a link elsewhere without a moment in which it is not there.
	swap := func(t *testing.T, target, link string) {
		t.Helper()
		must(t, os.Symlink(target, link+".new"), os.Rename(link+".new", link))
	}
	for name, c := range map[string]struct {
		lay  func(t *testing.T, dir string) (path string)
		save func(t *testing.T, dir, text string)
	}{
		"of a mounted ConfigMap": {
			func(t *testing.T, dir string) string {
				must(t, os.Mkdir(filepath.Join(dir, "..first"), 0o700), write(filepath.Join(dir, "..first", "config.yaml"), "first"))
				must(t, os.Symlink("..first", filepath.Join(dir, "..data")), os.Symlink("..data/config.yaml", filepath.Join(dir, "config.yaml")))
				return filepath.Join(dir, "config.yaml")
			},
			func(t *testing.T, dir, text string) {
				old, err := os.Readlink(filepath.Join(dir, "..data"))
				must(t, err, os.Mkdir(filepath.Join(dir, ".."+text), 0o700), write(filepath.Join(dir, ".."+text, "config.yaml"), text))
				swap(t, ".."+text, filepath.Join(dir, "..data"))
				must(t, os.RemoveAll(filepath.Join(dir, old)))
			},
		},
		"to a file that is written in place": {
			func(t *testing.T, dir string) string {
				must(t, os.Mkdir(filepath.Join(dir, "elsewhere"), 0o700), write(filepath.Join(dir, "elsewhere", "real"), "first"))
				must(t, os.Symlink(filepath.Join(dir, "elsewhere", "real"), filepath.Join(dir, "config.yaml")))
				return filepath.Join(dir, "config.yaml")
			},
			func(t *testing.T, dir, text string) { must(t, write(filepath.Join(dir, "elsewhere", "real"), text)) },
		},
		"of a folder above": {
			func(t *testing.T, dir string) string {
				must(t, os.Mkdir(filepath.Join(dir, "first"), 0o700), write(filepath.Join(dir, "first", "config.yaml"), "first"))
				must(t, os.Symlink("first", filepath.Join(dir, "current")), os.Mkdir(filepath.Join(dir, "etc"), 0o700))
				must(t, os.Symlink("../current", filepath.Join(dir, "etc", "app")))
				return filepath.Join(dir, "etc", "app", "config.yaml")
			},
			func(t *testing.T, dir, text string) {
				must(t, os.Mkdir(filepath.Join(dir, text), 0o700), write(filepath.Join(dir, text, "config.yaml"), text))
				swap(t, text, filepath.Join(dir, "current"))
			},
		},
		"that first leads nowhere": {
			func(t *testing.T, dir string) string {
				must(t, os.Symlink("missing/config.yaml", filepath.Join(dir, "config.yaml")))
				return filepath.Join(dir, "config.yaml")
			},
			func(t *testing.T, dir, text string) {
				must(t, os.MkdirAll(filepath.Join(dir, "missing"), 0o700), write(filepath.Join(dir, "missing", "config.yaml"), text))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := c.lay(t, dir)
			w := watching(t, path)
			for _, text := range []string{"second", "third"} {
				c.save(t, dir, text)
				told(t, w, path, text)
			}
		})
	}
}

// TestWatchWithALinkInACircle must end and still see what becomes of it.
func TestWatchWithALinkInACircle(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	must(t, os.Symlink("other", path), os.Symlink("config.yaml", filepath.Join(dir, "other")))
	w := watching(t, path)
	must(t, os.Remove(path), write(path, "text"))
	told(t, w, path, "text")
}

// TestWatchIsSilentAboutOthers writes beside the file, as a request log does.
func TestWatchIsSilentAboutOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	must(t, write(path, "first"))
	w := watching(t, path)
	for range 20 {
		must(t, write(filepath.Join(dir, "requests.jsonl"), "line"), write(path+"~", "backup"))
	}
	select {
	case <-w.Changes():
		t.Error("told of other files")
	case <-time.After(3 * config.Settle):
	}
	must(t, write(path, "second"))
	told(t, w, path, "second")
}

// TestWatchWaitsForNobody has changes that are not taken: it goes on, and the
// newest is not lost.
func TestWatchWaitsForNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	must(t, write(path, "first"))
	w := watching(t, path)
	for _, text := range []string{"second", "third", "fourth"} {
		must(t, write(path, text))
		time.Sleep(2 * config.Settle)
	}
	told(t, w, path, "fourth")
}
