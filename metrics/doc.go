// Package metrics is what happened: meters, attempts, events, and the Snapshot
// in which all of it can be seen.
//
// The proxy reports to a Recorder; the screen, the request log and the counters
// read from it, so that one attempt is one record with several views and they
// cannot disagree. Nothing here calls back: readers pull.
//
// Everything is safe for concurrent use.
package metrics
