package tui

import (
	"fmt"
	"strconv"
	"strings"
)

// role is what a colour is for. Themes give it a value.
type role uint8

const (
	plain    role = iota // the terminal's own colour
	dim                  // secondary text
	faint                // barely there, nothing that has to be read: dashes, numbers of lines
	edge                 // frames
	accent               // focus, keys
	good                 // ready, ok
	warn                 // slow, fallback
	bad                  // failed, cooling
	info                 // returning, new
	track                // the empty part of a bar
	selected             // the selected row
	ink                  // text on accent and warn
	series               // the first of seriesCount colours of providers
)

const seriesCount = 6

// attr are the attributes of a style.
type attr uint8

const (
	bold attr = 1 << iota
	reverse
)

// style is how a cell looks; the zero value is the terminal's own look.
type style struct {
	fg, bg role
	attr   attr
}

func fg(r role) style     { return style{fg: r} }
func strong(r role) style { return style{fg: r, attr: bold} }

// profile is what a terminal can show.
type profile uint8

const (
	noStyle   profile = iota // text only
	mono                     // bold, faint and reverse, no colour
	ansi16                   // the 16 named colours
	ansi256                  // the 256 colours of xterm
	trueColor                // 24 bits
)

// hue is one colour for the three kinds of colour terminal.
type hue struct {
	rgb  uint32
	x256 uint8
	x16  uint8
}

type palette [series + seriesCount]hue

// Text colours have a contrast of at least 6 on #10141f.
var darkPalette = palette{
	dim:        {0x8a93a6, 246, 7},
	faint:      {0x5c6474, 241, 8},
	edge:       {0x414a5e, 239, 8},
	accent:     {0x82aaff, 111, 12},
	good:       {0x5fd7a7, 79, 10},
	warn:       {0xf0b866, 215, 11},
	bad:        {0xff7a85, 210, 9},
	info:       {0x7fd3f7, 117, 14},
	track:      {0x242c3d, 236, 8},
	selected:   {0x242c3d, 236, 8},
	ink:        {0x10141f, 233, 0},
	series + 0: {0x6ea8fe, 75, 4},
	series + 1: {0xf2a65a, 215, 3},
	series + 2: {0x5fd7a7, 79, 2},
	series + 3: {0xc792ea, 176, 5},
	series + 4: {0xe8d06b, 185, 11},
	series + 5: {0x5fc9d8, 80, 6},
}

// Text colours have a contrast of at least 5.4 on white.
var lightPalette = palette{
	dim:        {0x5b6472, 241, 8},
	faint:      {0x9aa2af, 247, 7},
	edge:       {0xb4bcc8, 250, 7},
	accent:     {0x2456c4, 26, 4},
	good:       {0x0a6f45, 23, 2},
	warn:       {0x8a5300, 94, 3},
	bad:        {0xb8232f, 124, 1},
	info:       {0x0b6580, 24, 6},
	track:      {0xdde3ec, 254, 7},
	selected:   {0xe4eaf4, 254, 7},
	ink:        {0xffffff, 231, 15},
	series + 0: {0x3d7be0, 68, 4},
	series + 1: {0xd9792b, 172, 3},
	series + 2: {0x2a9d6c, 35, 2},
	series + 3: {0x9a5fd0, 134, 5},
	series + 4: {0xb59410, 136, 11},
	series + 5: {0x1c8fa5, 31, 6},
}

// theme is a palette on a terminal: it turns styles into SGR sequences and
// knows the signs. Sequences are made once.
type theme struct {
	profile profile
	palette *palette
	glyphs  *glyphs
	cache   map[style]string
}

func newTheme(p profile, light, ascii bool) *theme {
	t := &theme{profile: p, palette: &darkPalette, glyphs: &unicodeGlyphs, cache: map[style]string{}}
	if light {
		t.palette = &lightPalette
	}
	if ascii {
		t.glyphs = &asciiGlyphs
	}
	return t
}

// coloured reports whether colours can tell one thing from another.
func (t *theme) coloured() bool { return t.profile >= ansi16 }

// sgr returns what changes the terminal from one style to another.
func (t *theme) sgr(from, to style) string {
	if from == to || t.profile == noStyle {
		return ""
	}
	s, ok := t.cache[to]
	if !ok {
		s = t.sequence(to)
		t.cache[to] = s
	}
	return s
}

// sequence begins with a reset, so that it holds whatever was set before.
func (t *theme) sequence(st style) string {
	var p []string
	if st.attr&bold != 0 {
		p = append(p, "1")
	}
	if t.profile == mono {
		p = append(p, monoParams(st)...)
	} else {
		p = append(p, t.colourParams(st)...)
	}
	if len(p) == 0 {
		return "\x1b[m"
	}
	return "\x1b[0;" + strings.Join(p, ";") + "m"
}

// monoParams says with attributes what it can of a style's colours.
func monoParams(st style) []string {
	switch {
	case st.bg == selected, st.bg == accent, st.bg == warn, st.bg == bad, st.attr&reverse != 0:
		return []string{"7"}
	case st.fg == dim, st.fg == faint, st.fg == edge:
		return []string{"2"}
	}
	return nil
}

func (t *theme) colourParams(st style) []string {
	var p []string
	if st.attr&reverse != 0 {
		p = append(p, "7")
	}
	// Among 16 colours the row's may be the text's: it would not be seen.
	hidden := t.profile == ansi16 && st.fg != plain && st.bg != plain && t.palette[st.fg].x16 == t.palette[st.bg].x16
	if st.fg != plain && !hidden {
		p = append(p, t.colour(st.fg, 30))
	}
	if st.bg != plain {
		p = append(p, t.colour(st.bg, 40))
	}
	return p
}

// colour returns the SGR parameters of a role; base is 30 for text and 40 for
// the background (ECMA-48 8.3.117; 38 and 48 from ITU-T T.416).
func (t *theme) colour(r role, base int) string {
	h := t.palette[r]
	switch t.profile {
	case trueColor:
		return fmt.Sprintf("%d;2;%d;%d;%d", base+8, h.rgb>>16, h.rgb>>8&0xff, h.rgb&0xff)
	case ansi256:
		return fmt.Sprintf("%d;5;%d", base+8, h.x256)
	}
	if h.x16 >= 8 {
		return strconv.Itoa(base + 60 + int(h.x16) - 8)
	}
	return strconv.Itoa(base + int(h.x16))
}
