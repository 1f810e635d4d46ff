package cli

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"anyproxy/metrics/ledger"
	"anyproxy/providers/credential"
	"anyproxy/proxy"

	"github.com/gofrs/flock"
)

const (
	ledgerName = "ledger" // the folder's, in the one of the state
	lockName   = "lock"
	// ledgerEnds is how long the end of the program waits for a disk.
	ledgerEnds = 5 * time.Second
)

// stateLock decides which of several programs on one folder of state replaces
// files there. Whoever holds it has it to its end; the others ask again. The
// zero stateLock is of no folder.
type stateLock struct{ file *flock.Flock }

func newStateLock(folder string) stateLock {
	if folder == "" {
		return stateLock{}
	}
	return stateLock{flock.New(filepath.Join(folder, lockName), flock.SetPermissions(0o600))}
}

// held takes the lock where it is free, and reports whether this program has it.
// Where there can be none it has: what is wrong with the folder is told by who
// writes there.
func (l stateLock) held() bool {
	if l.file == nil {
		return true
	}
	err := os.MkdirAll(filepath.Dir(l.file.Path()), 0o700)
	if err == nil {
		var ok bool
		if ok, err = l.file.TryLock(); err == nil {
			return ok
		}
	}
	return true
}

func (l stateLock) release() {
	if l.file != nil {
		_ = l.file.Close() // the end of the program releases it in any case
	}
}

// openLedger opens the ledger, and returns the accounts that go on where an
// earlier run has ended. Without a folder they begin empty and end with the program.
func (p *program) openLedger() *ledger.Ledger {
	accounts := ledger.New(time.Now)
	if p.folder == "" {
		return accounts
	}
	p.journal = ledger.Open(ledger.Options{Folder: ledgerIn(p.folder), KeepDays: p.doc.Config.State.KeepDays,
		Owns: p.lock.held, Redact: p.redact.String, Logger: p.logger, Accounts: accounts})
	p.journal.Note(ledger.Row{Kind: ledger.KindStart, Version: Version(), File: p.doc.Name, SHA256: p.doc.Hash})
	p.audit.open(p.journal)
	p.rec.Observe(p.journal)
	return accounts
}

func ledgerIn(folder string) ledger.Folder { return ledger.Folder(filepath.Join(folder, ledgerName)) }

// audit writes into the ledger what becomes of credentials. The first are asked
// for before the ledger is open: their rows wait for it.
type audit struct {
	mu      sync.Mutex
	journal *ledger.Journal
	early   []ledger.Row
}

// maxEarly bounds the rows that wait for a ledger that may never come.
const maxEarly = 1000

func (a *audit) open(j *ledger.Journal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal = j
	for _, r := range a.early {
		j.Note(r)
	}
	a.early = nil
}

// renewed notes what has become of a credential.
func (a *audit) renewed(r credential.Renewal) {
	row := ledger.Row{Kind: ledger.KindCredential, Time: time.Now(), Provider: r.Owner, Outcome: string(r.Outcome),
		KeySHA256: r.Fingerprint, Duration: r.Took.Seconds(), Text: r.Source}
	if key, ok := clientKeyOf(r.Owner); ok {
		row.Provider, row.Key = "", key
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.journal != nil {
		a.journal.Note(row)
	} else if len(a.early) < maxEarly {
		a.early = append(a.early, row)
	}
}

// closeLedger writes what is left.
func (p *program) closeLedger() {
	if p.journal == nil {
		return
	}
	p.journal.Note(ledger.Row{Kind: ledger.KindStop, Version: Version()})
	ctx, cancel := context.WithTimeout(context.Background(), ledgerEnds)
	defer cancel()
	if err := p.journal.Close(ctx); err != nil {
		p.logger.Warn("the last rows of the ledger may be lost", "error", err)
	}
}

// labels are what rows of the ledger say of a configuration.
func labels(keys []proxy.Key) ledger.Labels {
	l := ledger.Labels{Keys: map[string]string{}}
	for _, k := range keys {
		l.Keys[k.Name] = credential.Fingerprint(k.Value.Reveal())
	}
	return l
}
