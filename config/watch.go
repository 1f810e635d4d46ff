package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a file must be left alone to count as saved: editors
	// write in several steps.
	settle = 100 * time.Millisecond
	// settleAtMost bounds the wait for a file that is never left alone.
	settleAtMost = 2 * time.Second
)

// Watcher tells when a file may have changed. It watches folders, not the file:
// editors put another file in its place. Where symbolic links lead to it, the
// folder of each link is watched too, which is how a mounted ConfigMap changes.
// A file that vanishes is waited for.
//
// Somebody must call Run; Changes may be used by one other goroutine.
type Watcher struct {
	path    string
	notify  *fsnotify.Watcher
	changes chan struct{}
	spots   []spot // what is watched
}

// spot is a name in a folder at which a change can make the path another file.
type spot struct{ folder, name string }

// NewWatcher watches the file at path, which need not exist. The first change
// comes by itself: whoever read the file before cannot know what happened
// meanwhile.
func NewWatcher(path string) (*Watcher, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("watch config: %w", err)
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch config: %w", err)
	}
	w := &Watcher{path: path, notify: notify, changes: make(chan struct{}, 1)}
	if err := w.follow(); err != nil {
		_ = notify.Close()
		return nil, fmt.Errorf("watch config: %w", err)
	}
	return w, nil
}

// Changes has a value when the file may have changed since the last one was
// taken, however often it has.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	defer w.notify.Close()
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	latest := time.Now().Add(settleAtMost) // when to tell even if it is not quiet; zero = nothing to tell
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-w.notify.Events:
			if !open {
				return
			}
			if !w.concerns(event.Name) {
				continue
			}
		case <-w.notify.Errors: // events were lost, or something like it
		case <-quiet.C:
			latest = time.Time{}
			_ = w.follow() // what cannot be watched now can be when something above it changes
			w.tell()
			continue
		}
		if latest.IsZero() {
			latest = time.Now().Add(settleAtMost)
		}
		quiet.Reset(min(settle, time.Until(latest)))
	}
}

func (w *Watcher) tell() {
	select {
	case w.changes <- struct{}{}:
	default: // one is waiting
	}
}

// concerns reports whether an event of this name can be about the file. In a
// busy folder most are not.
func (w *Watcher) concerns(name string) bool {
	return slices.ContainsFunc(w.spots, func(s spot) bool {
		return name == s.folder || name == filepath.Join(s.folder, s.name)
	})
}

// follow watches the places that count now and no others.
func (w *Watcher) follow() (err error) {
	const attempts = 3
	for range attempts {
		spots := way(w.path)
		if err = w.watch(spots); err == nil && slices.Equal(spots, way(w.path)) {
			return nil
		} // else it changed before it was watched
	}
	return err
}

// watch adds also what is watched already: a folder of the same name may be
// another one. The file itself is watched for writes that come by another name
// (a hard link, a file that is mounted alone); the folders do without.
func (w *Watcher) watch(spots []spot) error {
	for _, old := range w.spots {
		if !slices.ContainsFunc(spots, func(s spot) bool { return s.folder == old.folder }) {
			_ = w.notify.Remove(old.folder) // it may be gone
		}
	}
	w.spots = spots
	for _, s := range spots {
		if err := w.notify.Add(s.folder); err != nil {
			return err
		}
	}
	last := spots[len(spots)-1]
	_ = w.notify.Add(filepath.Join(last.folder, last.name))
	return nil
}

// maxLinks is how many symbolic links a path may lead over.
const maxLinks = 40

// way lists the spots on the way to a file: that of each symbolic link, and
// its own. Where the way ends early the last one is that of what is missing.
func way(path string) (spots []spot) {
	at, rest := splitRoot(path)
	for links := 0; ; {
		name, more, deeper := strings.Cut(rest, separator)
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err == nil && info.Mode()&os.ModeSymlink != 0 && links < maxLinks {
			spots = append(spots, spot{at, name})
			var target string
			if target, err = os.Readlink(next); err == nil {
				links++
				if filepath.IsAbs(target) {
					at, target = splitRoot(target)
				}
				rest = strings.TrimSuffix(target+separator+more, separator)
				continue
			}
		}
		if err != nil || !deeper {
			return append(spots, spot{at, name})
		}
		at, rest = next, more
	}
}

const separator = string(filepath.Separator)

func splitRoot(path string) (root, rest string) {
	root = filepath.VolumeName(path) + separator
	return root, strings.TrimPrefix(path, root)
}
