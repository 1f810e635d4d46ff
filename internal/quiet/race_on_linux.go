//go:build race

package quiet

// racing has all calls go the ordinary way: what they do to memory, and that who reads
// comes behind who wrote, is known to the race detector only there.
const racing = true
