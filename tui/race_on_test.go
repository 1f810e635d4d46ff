//go:build race

package tui

// The race detector slows drawing down tenfold and finds nothing in it.
const raceDetector = true
