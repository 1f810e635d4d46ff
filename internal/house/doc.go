// Package house holds the repository to its own layout: its test reads the
// imports of every package, on every system and under every build tag, and
// fails where one points sideways or up. There is no code in it to import.
package house
