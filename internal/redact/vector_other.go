//go:build !amd64

package redact

const vectors = false

func runVector([]byte, int, *halves) int { panic("redact: no vectors here") }

func anchorVector([]byte, int, *anchorSet) int { panic("redact: no vectors here") }
