// Package noprobe keeps Bubble Tea from asking the terminal for its colours.
//
// The init function of Bubble Tea v1 (tea_init.go) calls
// lipgloss.HasDarkBackground, which writes two questions to the terminal and
// waits up to five seconds for the answers. It does so in every program that
// links it, whatever the program then does. With the answer set beforehand
// nothing is asked.
//
// Import it for its effect, from the main package's side. Go initialises
// packages in the order of their import paths as soon as what they import is
// ready (Go specification, "Package initialization"), and this package needs
// only Lip Gloss: it runs first because its path sorts before
// github.com/charmbracelet/bubbletea. In a module whose name sorts after that
// it would come too late.
package noprobe

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
