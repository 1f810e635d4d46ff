//go:build !race

package routing_test

// raceDetector says that everything takes ten times as long.
const raceDetector = false
