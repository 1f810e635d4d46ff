package cli

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// presence tells the other commands of the same user that a proxy serves, and
// where. It stands in the folder of the state, which only that user can write:
// who finds it may trust that address with a client key or a login, which
// something that merely answers on the usual port may not be.
type presence struct {
	PID     int       `json:"pid"`
	URL     string    `json:"url"`    // as a client of this machine writes it
	Config  string    `json:"config"` // see configID
	Version string    `json:"version"`
	Started time.Time `json:"started"`
}

// presenceFolder is the place in the state's folder.
const presenceFolder = "running"

// configID names a configuration whatever the working directory: a file's
// absolute path, or what stands in for a file.
func configID(file string) string {
	if file == "" {
		return fromEnvironment
	}
	if abs, err := filepath.Abs(file); err == nil {
		return abs
	}
	return file
}

// localURL is the address of a listener, for a client of this machine.
func localURL(scheme string, l net.Addr) string {
	host, port, err := net.SplitHostPort(l.String())
	if err != nil {
		return scheme + l.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, port)
}

// appear tells that the program serves, where state may be kept. What it
// returns takes that back.
func (p *program) appear() (vanish func()) {
	if p.folder == "" {
		return func() {}
	}
	path := filepath.Join(p.folder, presenceFolder, strconv.Itoa(os.Getpid())+".json")
	data, err := json.Marshal(presence{PID: os.Getpid(), URL: localURL(p.scheme(), p.listen[0].Addr()), Config: configID(p.flags.config),
		Version: Version(), Started: time.Now()})
	if err == nil {
		err = replaceFile(path, append(data, '\n'))
	}
	if err != nil { // that the folder cannot be written has been told
		return func() {}
	}
	return func() {
		_ = os.Remove(path)               // one that stays is found out when nobody answers
		_ = os.Remove(filepath.Dir(path)) // while others are there it stays
	}
}

// findRunning returns the newest proxy that serves the configuration and
// answers. What a crash has left behind is removed.
func findRunning(ctx context.Context, folder, config string) (found presence, ok bool) {
	if folder == "" {
		return found, false
	}
	files, err := filepath.Glob(filepath.Join(folder, presenceFolder, "*.json"))
	if err != nil {
		return found, false // the folder's name is a pattern that cannot be
	}
	for _, path := range files {
		var p presence
		data, err := readState(path)
		if err != nil || json.Unmarshal(data, &p) != nil || p.URL == "" {
			continue
		}
		if p.Config != config || ok && !p.Started.After(found.Started) {
			continue
		}
		switch err := serves(ctx, p.URL); {
		case err == nil:
			found, ok = p, true
		case errors.Is(err, errRefused):
			_ = os.Remove(path) // nobody listens: it has ended without a word
		}
	}
	return found, ok
}
