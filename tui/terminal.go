package tui

import "strings"

// profileOf reads what the terminal can show from the environment. Any value
// of NO_COLOR turns colour off (no-color.org).
func profileOf(getenv func(string) string) profile {
	term := getenv("TERM")
	switch {
	case term == "dumb":
		return noStyle
	case getenv("NO_COLOR") != "":
		return mono
	case isTrueColor(getenv("COLORTERM"), term), getenv("WT_SESSION") != "":
		return trueColor
	case strings.Contains(term, "256color"):
		return ansi256
	case term == "":
		return mono
	}
	return ansi16
}

func isTrueColor(colorterm, term string) bool {
	switch colorterm {
	case "truecolor", "24bit":
		return true
	}
	switch term {
	case "xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm":
		return true
	}
	return strings.HasSuffix(term, "-direct")
}

// isLight reads the background from COLORFGBG, "foreground;background" in the
// 16 colours, as rxvt and Konsole set it.
func isLight(getenv func(string) string) bool {
	v := getenv("COLORFGBG")
	switch v[strings.LastIndexByte(v, ';')+1:] {
	case "7", "9", "10", "11", "12", "13", "14", "15":
		return true
	}
	return false
}

// needsASCII reports whether the terminal lacks the signs: the Linux console's
// font has too few, and a locale that is not UTF-8 none. No locale at all, as
// on Windows, counts as UTF-8.
func needsASCII(getenv func(string) string) bool {
	switch getenv("TERM") {
	case "linux", "dumb":
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}
