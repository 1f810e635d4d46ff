package redact

import "bytes"

// Keys that nobody configured are found by their shape: a beginning that every
// such key has, and enough of what only a random value has, so that code and
// prose ("sk-learn", "task-…", "Bearer authentication") stay as they are.
//
// All of them are runs of at least minRun token characters. Text has few such
// runs, and a search for them skips most of its bytes.
const minRun = 16

// tokenChar holds the characters of RFC 6750's b64token; its trailing = may stand anywhere.
var tokenChar = func() (t [256]bool) {
	for c := range t {
		t[c] = alnum(byte(c)) || bytes.IndexByte([]byte("-._~+/="), byte(c)) >= 0
	}
	return t
}()

// halves is a set of ASCII characters: c is in it if the entries of its low half,
// in the first 16 bytes, and of its high half, in the last 16, have a bit in common.
type halves [32]byte

// tokenHalves is tokenChar. The high halves of ASCII but for control characters
// are 2 to 7: each has a bit.
var tokenHalves = func() (t halves) {
	for high := 2; high < 8; high++ {
		t[16+high] = 1 << (high - 2)
		for low := range 16 {
			if tokenChar[high<<4|low] {
				t[low] |= 1 << (high - 2)
			}
		}
	}
	return t
}()

// nextKey returns the first key at or after at, a negative start when there is none.
func nextKey(b []byte, at int) (start, end int) { return nextKeyBy(b, at, vectors) }

func nextKeyBy(b []byte, at int, vectors bool) (start, end int) {
	for from := at; from+minRun <= len(b); {
		if vectors {
			if from = runVector(b, from, &tokenHalves); from+minRun > len(b) {
				break
			}
		}
		gap := from + minRun - 1
		for gap >= from && tokenChar[b[gap]] {
			gap--
		}
		if gap >= from {
			from = gap + 1
			continue
		}
		if bearer(b[:from]) {
			if end := runEnd(b, from+minRun, len(b)); mixed(b[from:end]) {
				return from, end
			}
		}
		end := runEnd(b, from+minRun, from+piece)
		if s, e := keyIn(b, from, end); s >= 0 {
			return s, e
		}
		if from = end + 1; end < len(b) && tokenChar[b[end]] {
			from = end - 2 // the run goes on, and a key's third character is looked for
		}
	}
	return -1, -1
}

// piece is how much of a run is looked at together: whoever finds a key begins
// again behind it, and a run can be all of a large body, full of keys.
const piece = 256

// runEnd is where the run that has come to end is at its end, at most limit.
func runEnd(b []byte, end, limit int) int {
	for limit = min(limit, len(b)); end < limit && tokenChar[b[end]]; {
		end++
	}
	return end
}

// keyIn looks for the first key whose third character is in the piece b[from:end]
// of a run. The key may go on behind it.
func keyIn(b []byte, from, end int) (int, int) {
	s, e := keyAround(b, from, end, 's', '-', skKey)
	if as, ae := keyAround(b, from, end, 'A', 'I', awsAccessID); as >= 0 && (s < 0 || as < s) {
		return as, ae
	}
	return s, e
}

// keyAround looks in the piece b[from:end] for the first key with these two for
// its first and third characters; the third is the rarer one. length gives the
// length of the key that its argument opens with, or 0: it is asked only where a
// key can begin, so that of two things like keys no byte is looked at for both.
func keyAround(b []byte, from, end int, first, third byte, length func([]byte) int) (int, int) {
	for i := from + 2; i < end; i++ {
		next := bytes.IndexByte(b[i:end], third)
		if next < 0 {
			break
		}
		if i += next; b[i-2] != first || !opens(b, i-2) {
			continue
		}
		if n := length(b[i-2:]); n > 0 {
			return i - 2, i - 2 + n
		}
	}
	return -1, -1
}

// bearer reports whether b ends in the scheme of RFC 6750.
func bearer(b []byte) bool {
	return bytes.HasSuffix(b, []byte("Bearer ")) || bytes.HasSuffix(b, []byte("bearer "))
}

// skKey returns the length of the key that b opens with, 0 when it is none: sk-
// is what Anthropic, OpenAI, OpenRouter, DeepSeek and LiteLLM let theirs begin with.
func skKey(b []byte) int {
	if !bytes.HasPrefix(b, []byte("sk-")) {
		return 0
	}
	n := len("sk-")
	for n < len(b) && (alnum(b[n]) || b[n] == '-' || b[n] == '_') {
		n++
	}
	anthropic := bytes.HasPrefix(b, []byte("sk-ant-")) && n >= len("sk-ant-")+10
	if !anthropic && (n < len("sk-")+20 || !random(b[:n])) {
		return 0
	}
	return n
}

// awsAccessID returns 20 when b opens with an AWS access key id, long-lived
// (AKIA) or of a session (ASIA): 20 capitals and digits that stand alone (AWS
// IAM user guide, "IAM identifiers").
func awsAccessID(b []byte) int {
	const n = 20
	if !bytes.HasPrefix(b, []byte("AKIA")) && !bytes.HasPrefix(b, []byte("ASIA")) || len(b) < n || len(b) > n && alnum(b[n]) {
		return 0
	}
	for _, c := range b[:n] {
		if !alnum(c) || c >= 'a' {
			return 0
		}
	}
	return n
}

// opens reports whether no word runs into b[i]. The n of a JSON string's \n is
// no word, nor is the 003c of \u003c, which is what many make of a <.
func opens(b []byte, i int) bool {
	if i == 0 {
		return true
	}
	prev := b[i-1]
	if !alnum(prev) {
		return prev != '-' && prev != '_'
	}
	letter := i > 1 && b[i-2] == '\\' && bytes.IndexByte([]byte("nrtbf"), prev) >= 0
	return letter || i > 5 && b[i-6] == '\\' && b[i-5] == 'u' && hex(b[i-4]) && hex(b[i-3]) && hex(b[i-2]) && hex(prev)
}

func hex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// random reports whether a part of key between its dashes is too long and too
// mixed for a word.
func random(key []byte) bool {
	for part := range bytes.FieldsFuncSeq(key, func(r rune) bool { return r == '-' || r == '_' }) {
		if len(part) >= 12 && mixed(part) {
			return true
		}
	}
	return false
}

// mixed reports whether b has both a letter and a digit.
func mixed(b []byte) bool {
	var letter, digit bool
	for _, c := range b {
		digit = digit || '0' <= c && c <= '9'
		letter = letter || 'a' <= c|0x20 && c|0x20 <= 'z'
	}
	return letter && digit
}

func alnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
