// Package house holds the repository to its own layout: its tests read the
// imports of every package, on every system and under every build tag, and
// fail where one points sideways or up, and follow every link of the documentation.
// There is no code in it to import.
package house
