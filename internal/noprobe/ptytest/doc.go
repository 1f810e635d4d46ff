// Package ptytest gives tests a pseudo-terminal, on Linux: one that shows what
// a program writes to a terminal that never answers.
package ptytest
