// Package routing chooses which upstream serves a request, and in which order
// the others stand by.
//
// A target is one configured way to serve some models. The targets that can
// serve a request are its candidates: they are ordered by tier, and inside a
// tier by a weighted random draw; those that cool after a failure come last.
// The Router learns from the outcome of every attempt that is reported to it.
//
// A Router is safe for concurrent use. It runs on an injected clock and draw,
// so that the same inputs give the same order.
package routing
