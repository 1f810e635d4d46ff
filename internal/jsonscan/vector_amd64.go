package jsonscan

import "golang.org/x/sys/cpu"

// vectors says that skipVector can be used.
var vectors = cpu.X86.HasAVX2 && cpu.X86.HasBMI1

// skipVector goes on inside a string at b[i], in blocks of 64 bytes, past all
// that stands for itself and past escapes of one letter. It stops at whatever
// else there is (the closing quote, a control character, the backslash of
// another escape) or when less than a block is left, and never between a
// backslash and what it escapes. It reads the byte before b[i], too, as
// there is always one: the opening quote. It needs AVX2 and BMI1.
//
//go:noescape
func skipVector(b []byte, i int) int

// stopsVector is stopsWords with AVX2.
//
//go:noescape
func stopsVector(b *[windowSize]byte) uint64
