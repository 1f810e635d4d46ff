package redact

import "golang.org/x/sys/cpu"

// vectors says that runVector can be used.
var vectors = cpu.X86.HasAVX2 && cpu.X86.HasBMI1

// runVector returns where the first run of minRun token characters at or after
// from begins, or a place before which none does and behind which there are
// less than 64 bytes. A byte is a token character if the entries of its two
// halves in set have a bit in common. It needs AVX2 and BMI1.
//
//go:noescape
func runVector(b []byte, from int, set *halves) int
