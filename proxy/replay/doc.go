// Package replay answers how a configuration would have routed the traffic of a
// request log, without a network.
//
// A Trace is what a log says: every request with its attempts, and nothing of
// its bodies. Replay plays it on a virtual clock to the router that serves. The
// requests come when they came; what becomes of an attempt is taken from what
// the log has measured of the same upstream at that time, see past. A Report
// holds what happened beside what would have.
//
// What nobody has measured is assumed, and the Report says so. The same trace,
// setup and seed give the same report. A Trace and what is made of it belong to
// one goroutine.
package replay
