package redact

import "golang.org/x/sys/cpu"

// vectors says that runVector and anchorVector can be used.
var vectors = cpu.X86.HasAVX2 && cpu.X86.HasBMI1 && cpu.X86.HasBMI2

// runVector returns where the first run of minRun token characters at or after
// from begins that can be a key: one with a dash or an I, behind a blank, or at
// the end of a block of 64 bytes. Or it returns a place before which no such run
// begins and behind which there are less than 64 bytes. A byte is a token
// character if the entries of its two halves in set have a bit in common. It
// needs AVX2, BMI1 and BMI2.
//
//go:noescape
func runVector(b []byte, from int, set *halves) int

// anchorVector returns the first place at or after from where an anchor of set
// may be. Or it returns a place before which there is none and behind which
// there are less than anchorBlock bytes. It needs AVX2 and BMI1.
//
//go:noescape
func anchorVector(b []byte, from int, set *anchorSet) int
