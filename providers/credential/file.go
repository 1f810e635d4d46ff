package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"anyproxy/config"
)

// maxFile is the size of the largest secret file, in bytes.
const maxFile = 64 << 10

// file is a secret in a file of its own. It is read again when the file's
// modification time or size has changed.
type file struct {
	path string

	mu       sync.Mutex
	modified time.Time
	size     int64
	value    config.Secret
}

// Secret returns the file's text less one line end. A file that cannot be read
// any more is an error, even if it could be before: it may have been revoked.
func (f *file) Secret(context.Context) (config.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return config.Secret{}, fmt.Errorf("read secret: %w", err)
	}
	if !f.value.Empty() && info.ModTime().Equal(f.modified) && info.Size() == f.size {
		return f.value, nil
	}
	value, err := readSecret(f.path)
	if err != nil {
		return config.Secret{}, fmt.Errorf("read secret: %w", err)
	}
	f.value, f.modified, f.size = value, info.ModTime(), info.Size()
	return value, nil
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
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return config.Secret{}, &os.PathError{Op: "read", Path: path, Err: errors.New("empty")}
	}
	if bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return config.Secret{}, &os.PathError{Op: "read", Path: path, Err: errors.New("more than one line, or a control character")}
	}
	return config.NewSecret(string(b)), nil
}
