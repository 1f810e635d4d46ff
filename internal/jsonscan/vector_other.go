//go:build !amd64

package jsonscan

const vectors = false

func skipVector([]byte, int) int { panic("jsonscan: no vectors here") }

func stopsVector(*[windowSize]byte) uint64 { panic("jsonscan: no vectors here") }
