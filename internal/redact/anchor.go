package redact

import "bytes"

// Nearly every text has no secret. Of all that is looked for, three bytes in a
// row are enough to say so: the beginnings of keys, and in each configured value
// the three that text has least often. They are looked for in one pass, many
// bytes at a time (the idea is that of Teddy in Hyperscan: Wang et al., NSDI
// 2019), and what has them is looked at closely.
type anchors struct {
	set   anchorSet
	bytes [3][256]uint8 // by place: the groups whose anchors have this byte there
	group [8][]anchor
}

// anchorSet has for each of the three places the groups by the low half of a
// byte, and by its high half. A group is a bit, and an anchor may be where all
// six have one in common.
type anchorSet [6][16]uint8

// anchor is a place in a needle where its rare bytes begin.
type anchor struct {
	needle []byte
	at     int
}

// The groups. Values share those from firstGroup on.
const (
	groupSK = iota
	groupAWS
	groupBearer
	firstGroup
)

const (
	// mostAnchors is how many values' anchors leave the groups sharp enough.
	mostAnchors = 30
	// anchorBlock is how many bytes are needed to look at 32 places at a time.
	anchorBlock = 32 + 2
	// shortText is what is looked at closely in the time of this.
	shortText = 2 * anchorBlock
)

// newAnchors returns nil when needles are too many, or have no three bytes of
// ASCII in a row.
func newAnchors(needles [][]byte) *anchors {
	a := new(anchors)
	a.add(groupSK, "sk-")
	a.add(groupAWS, "AKI")
	a.add(groupAWS, "ASI")
	a.add(groupBearer, "rer")
	groups := make(map[string]int)
	for _, n := range needles {
		at := rarest(n)
		if at < 0 {
			return nil
		}
		three := string(n[at : at+3])
		g, ok := groups[three]
		if !ok {
			g = firstGroup + len(groups)%(len(a.group)-firstGroup)
			groups[three] = g
			a.add(g, three)
		}
		a.group[g] = append(a.group[g], anchor{n, at})
	}
	if len(groups) > mostAnchors {
		return nil
	}
	return a
}

func (a *anchors) add(group int, three string) {
	bit := uint8(1) << group
	for i := range 3 {
		c := three[i]
		a.set[2*i][c&15] |= bit
		a.set[2*i+1][c>>4] |= bit
		a.bytes[i][c] |= bit
	}
}

// rarest is where the three bytes of n begin that text has least often, negative
// when none are of ASCII.
func rarest(n []byte) int {
	best, least := -1, 0
	for i := range len(n) - 2 {
		common := commonness(n[i]) + commonness(n[i+1]) + commonness(n[i+2])
		if ascii := n[i]|n[i+1]|n[i+2] < 0x80; ascii && (best < 0 || common < least) {
			best, least = i, common
		}
	}
	return best
}

// commonness is about the logarithm of how often text has c.
func commonness(c byte) int {
	switch {
	case bytes.IndexByte([]byte("etaoinsrldcump_-\\\"{}:, /"), c) >= 0:
		return 4
	case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		return 2
	}
	return 1
}

// clean reports that there is no secret in b. Where it does not there may be one.
func (a *anchors) clean(b []byte) bool {
	if a == nil || !vectors || len(b) < shortText {
		return false
	}
	for i := 0; ; i++ {
		if i = anchorVector(b, i, &a.set); i > len(b)-anchorBlock {
			return a.cleanFrom(b, i)
		}
		if a.found(b, i) {
			return false
		}
	}
}

// cleanFrom is clean for the places from i on.
func (a *anchors) cleanFrom(b []byte, i int) bool {
	for ; i+3 <= len(b); i++ {
		if a.found(b, i) {
			return false
		}
	}
	return true
}

// found reports whether there may be a secret with its anchor at b[i].
func (a *anchors) found(b []byte, i int) bool {
	groups := a.bytes[0][b[i]] & a.bytes[1][b[i+1]] & a.bytes[2][b[i+2]]
	if groups == 0 {
		return false
	}
	if groups&(1<<groupSK) != 0 && opens(b, i) && skKey(b[i:]) > 0 ||
		groups&(1<<groupAWS) != 0 && opens(b, i) && awsAccessID(b[i:]) > 0 ||
		groups&(1<<groupBearer) != 0 && bearerToken(b, i) {
		return true
	}
	for g := firstGroup; g < len(a.group); g++ {
		if groups&(1<<g) == 0 {
			continue
		}
		for _, n := range a.group[g] {
			if i >= n.at && bytes.HasPrefix(b[i-n.at:], n.needle) {
				return true
			}
		}
	}
	return false
}

// bearerToken reports whether the rer at b[i] is that of a bearer with a token
// behind it.
func bearerToken(b []byte, i int) bool {
	token := i + len("rer ")
	return token <= len(b) && bearer(b[:token]) && runEnd(b, token, token+minRun) == token+minRun
}
