package credential

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// Outcome of a Renewal.
type Outcome string

const (
	Renewed     Outcome = "renewed"      // its source has given a value, a new one or the same
	NotRenewed  Outcome = "not_renewed"  // its source could not
	WrittenBack Outcome = "written_back" // a new refresh token is where the old one was
	NotWritten  Outcome = "not_written"  // it could not be put there, and is lost with this process
)

// A Renewal is one time that a source was asked for a value, that its file was
// found to hold another one, or that a new refresh token was to be kept. It holds
// no value, and nothing of what a source has complained of.
type Renewal struct {
	Owner   string // who has it: a provider's name
	Source  string // for people: "cmd op", "oauth at HOST", "file PATH"
	Outcome Outcome
	// Fingerprint of the new value, as Fingerprint makes it; "" where there is none.
	Fingerprint string
	Took        time.Duration // 0 for a file
}

// Asked is the Renewal by which source gave value, which may stand for the whole
// credential, or err. One that was given up is none.
func Asked(source, value string, took time.Duration, err error) (r Renewal, ok bool) {
	switch {
	case errors.Is(err, context.Canceled):
		return r, false
	case err != nil:
		return Renewal{Source: source, Outcome: NotRenewed, Took: took}, true
	default:
		return Renewal{Source: source, Outcome: Renewed, Fingerprint: Fingerprint(value), Took: took}, true
	}
}

// Fingerprint tells whether two values are the same: the first 8 hex digits of
// its SHA-256.
func Fingerprint(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:4])
}
