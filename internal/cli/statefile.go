package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"anyproxy/internal/contain"
	"anyproxy/proxy/routing"
)

const (
	routingStateName = "routing.json"
	// keptInMemory is the state.path that keeps nothing.
	keptInMemory = "none"
	// saveEvery is how much of what is known a crash may cost.
	saveEvery = time.Minute
	// maxState bounds what is read: the largest State takes some 5 MB.
	maxState = 16 << 20
)

// stateFile keeps what the choice of upstreams has learnt across restarts. What
// goes wrong with it is told once and costs nothing but the memory of it. A
// path of "" keeps nothing.
type stateFile struct {
	path   string
	owns   func() bool // of several programs, the one that saves
	state  *routing.State
	now    func() time.Time
	logger *slog.Logger
	failed bool // and it has been told
	shared bool // with another program, and it has been told
}

// stateFolder is where state.path says that state is kept, "" for nowhere.
func stateFolder(path string, getenv func(string) string) (string, error) {
	home := getenv("HOME")
	switch {
	case path == keptInMemory:
		return "", nil
	case path == "" && filepath.IsAbs(getenv("XDG_STATE_HOME")):
		return filepath.Join(getenv("XDG_STATE_HOME"), "anyproxy"), nil
	case path != "" && !strings.HasPrefix(path, "~/"):
		return path, nil
	case home == "":
		return "", errors.New("neither XDG_STATE_HOME nor HOME is set")
	case path == "":
		return filepath.Join(home, ".local", "state", "anyproxy"), nil
	default:
		return filepath.Join(home, path[len("~/"):]), nil
	}
}

// openState reads the file of an earlier run into state.
func openState(folder string, owns func() bool, state *routing.State, now func() time.Time, logger *slog.Logger) *stateFile {
	f := &stateFile{owns: owns, state: state, now: now, logger: logger}
	if folder == "" {
		return f
	}
	f.path = filepath.Join(folder, routingStateName)
	data, err := readState(f.path)
	if err == nil {
		err = state.Restore(data, now())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		logger.Warn("what was known about providers is lost, they are measured afresh", "file", f.path, "error", err)
	}
	return f
}

func readState(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // to open a pipe can take for ever
		return nil, cmp.Or(err, errors.New("it is no regular file"))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxState+1))
	if err == nil && len(data) > maxState {
		err = fmt.Errorf("it is larger than %d MB", maxState>>20)
	}
	return data, err
}

// run saves now and then, and for the last time when ctx has ended.
func (f *stateFile) run(ctx context.Context) {
	if f.path == "" {
		return
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	f.save() // so that a place that cannot be written is told at the start
	for {
		select {
		case <-tick.C:
			f.save()
		case <-ctx.Done():
			f.save()
			return
		}
	}
}

// save replaces the file. A reader sees the old or the new one whole.
func (f *stateFile) save() {
	defer contain.Panic(f.logger, "state file")
	if !f.owns() {
		if !f.shared {
			f.logger.Warn("another anyproxy saves its state in this folder: what this one learns about providers is kept in memory only", "folder", filepath.Dir(f.path))
		}
		f.shared = true
		return
	}
	data, err := f.state.Save(f.now())
	if err == nil {
		err = replaceFile(f.path, data)
	}
	if err != nil && !f.failed {
		f.logger.Warn("what is known about providers is kept in memory only", "error", err)
	}
	f.failed = err != nil
}

func replaceFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // what could not be written is of no use
	}
	return err
}
