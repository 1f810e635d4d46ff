package config

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"
)

// scalar fills to by parse, which says what is wanted where it cannot. The tags
// of lists and mappings are none that it takes.
func scalar[T any](d *decoder, n *yaml.Node, to *T, key string, parse func(tag, text string) (T, string)) bool {
	v, want := parse(n.ShortTag(), n.Value)
	if want != "" {
		return d.unread(n, key, want)
	}
	d.show(n)
	*to = v
	return true
}

func parseBool(tag, text string) (bool, string) {
	if tag != "!!bool" {
		return false, "true or false"
	}
	return strings.EqualFold(text, "true"), ""
}

func parseInt(tag, text string) (int, string) {
	n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 0)
	if tag != "!!int" || err != nil {
		return 0, "a whole number"
	}
	return int(n), ""
}

func parseFloat(tag, text string) (float64, string) {
	if tag != "!!int" && tag != "!!float" {
		return 0, "a number"
	}
	if strings.ContainsAny(text, "xXoObB") {
		return 0, "a decimal number"
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, "a finite number"
	}
	return f, ""
}

// parseDuration wants a unit, also for 0: a bare number would be read as
// seconds by some and as milliseconds by others.
func parseDuration(tag, text string) (Duration, string) {
	v, err := time.ParseDuration(text)
	if tag != "!!str" || err != nil {
		return 0, "a time with its unit (ms, s, m or h), such as 5s"
	}
	return v, ""
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

func parseSize(tag, text string) (Size, string) {
	const want = "a number of bytes, or one with its unit (KB, MB, GB, KiB, MiB or GiB), such as 100MB"
	if tag != "!!int" && tag != "!!str" {
		return 0, want
	}
	factor := int64(1)
	for _, u := range sizeUnits {
		if number, has := strings.CutSuffix(text, u.name); has {
			text, factor = strings.TrimSpace(number), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > math.MaxInt64/factor || n < math.MinInt64/factor {
		return 0, want
	}
	return Size(n * factor), ""
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }
