//go:build !race

package quiet

const racing = false
