package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"anyproxy/config"
)

const (
	// maxFile is the size of the largest secret file, in bytes.
	maxFile = 64 << 10
	// oldAge is how long a file may have been as it is before it is told, once
	// every oldTold, that its key should be replaced.
	oldAge  = 30 * 24 * time.Hour
	oldTold = 24 * time.Hour
)

// file is a secret in a file of its own. It is read again when the file's
// modification time or size has changed, or there is another file in its place.
type file struct {
	path  string
	vault *Vault
	owner string

	mu    sync.Mutex
	found os.FileInfo // when value was read
	value config.Secret
	told  time.Time // when its age was
}

func (f *file) String() string { return "file " + f.path }

// Secret returns the file's text less one line end. A file that cannot be read
// any more is an error, even if it could be before: it may have been revoked.
func (f *file) Secret(context.Context) (config.Secret, error) { return f.read(false) }

// renew reads the file, whatever its times say: some file systems keep whole
// seconds, and a key is as long as the one before it.
func (f *file) renew(_ context.Context, refused config.Secret) bool {
	now, err := f.read(true)
	return err == nil && now.Reveal() != refused.Reveal()
}

func (f *file) read(anyway bool) (config.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return config.Secret{}, fmt.Errorf("read secret: %w", err)
	}
	f.tellOfAgeLocked(info)
	if !anyway && !f.value.Empty() && info.ModTime().Equal(f.found.ModTime()) && info.Size() == f.found.Size() && os.SameFile(info, f.found) {
		return f.value, nil
	}
	if !info.Mode().IsRegular() { // to open a pipe can take for ever
		return config.Secret{}, fmt.Errorf("read secret: %s is no regular file", f.path)
	}
	value, err := readSecret(f.path)
	if err != nil {
		return config.Secret{}, fmt.Errorf("read secret: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" && value.Reveal() != f.value.Reveal() {
		f.tell(fmt.Sprintf("%s has mode %04o: others can read the key; chmod 600 it", f.path, mode))
	}
	f.vault.o.Hide(value.Reveal())
	if !f.value.Empty() && f.value.Reveal() != value.Reveal() {
		f.vault.o.Renewed(Renewal{Owner: f.owner, Source: f.String(), Outcome: Renewed, Fingerprint: Fingerprint(value.Reveal())})
	}
	f.value, f.found = value, info
	return value, nil
}

func (f *file) tell(text string) { f.vault.o.Tell(Notice{Owner: f.owner, Text: text}) }

// tellOfAgeLocked says now and then that a key is old.
func (f *file) tellOfAgeLocked(info os.FileInfo) {
	now := f.vault.o.Now()
	if age := now.Sub(info.ModTime()); age < oldAge || now.Sub(f.told) < oldTold {
		return
	}
	f.told = now
	f.tell(fmt.Sprintf("the key in %s has not changed for %d days; replace it now and then", f.path, int(now.Sub(info.ModTime()).Hours()/24)))
}

// keep puts a new value in the place of the old one. Whoever reads the file
// finds the one or the other.
func (f *file) keep(_ context.Context, value string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	path, err := filepath.EvalSymlinks(f.path) // a link stays one
	if err != nil {
		return err
	}
	if err := replaceFile(path, []byte(value+"\n")); err != nil {
		return err
	}
	f.value = config.NewSecret(value)
	if info, err := os.Stat(f.path); err == nil {
		f.found = info
	}
	return nil
}

func replaceFile(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
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

func readSecret(path string) (config.Secret, error) {
	r, err := os.Open(path)
	if err != nil {
		return config.Secret{}, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return config.Secret{}, err
	}
	if len(b) > maxFile {
		return config.Secret{}, &os.PathError{Op: "read", Path: path, Err: errors.New("larger than 64 KiB")}
	}
	value, err := oneLine(b)
	if err != nil {
		return config.Secret{}, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return config.NewSecret(value), nil
}

// oneLine is a text less its line end.
func oneLine(b []byte) (string, error) {
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return "", errors.New("empty")
	}
	if bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("more than one line, or a control character")
	}
	return string(b), nil
}
