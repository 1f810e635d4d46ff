package tui

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	tests := []struct{ got, want string }{
		{count(0), "0"}, {count(999), "999"}, {count(1284), "1 284"}, {count(1234567), "1 234 567"}, {count(-1284), "-1 284"},
		{short(0), "0"}, {short(999), "999"}, {short(1000), "1.0k"}, {short(18240), "18.2k"}, {short(999_949), "999.9k"}, {short(999_950), "1.0M"}, {short(4_800_000_000), "4.8G"},
		{rate(0), ""}, {rate(0.04), "0.0"}, {rate(71.44), "71.4"}, {rate(999.96), "1.0k"}, {rate(12345), "12.3k"},
		{levelLabel(0), "0"}, {levelLabel(9999), "9999"}, {levelLabel(50_000), "50k"}, {levelLabel(1_500_000), "1500k"}, {levelLabel(20_000_000), "20.0M"},
		{dollars(0), ""}, {dollars(0.084), "$0.08"}, {dollars(12.736), "$12.74"}, {dollars(12345), "$12.3k"}, {price(0), ""}, {price(0.084), "$0.084"}, {price(0.00001), "<$0.001"}, {price(3.2), "$3.20"},
		{percent(0), "0%"}, {percent(0.516), "52%"}, {percent(1), "100%"},
		{took(312*time.Millisecond, 1), "0.3s"}, {took(820*time.Millisecond, 2), "0.82s"}, {took(9996*time.Millisecond, 2), "10.0s"},
		{took(55100*time.Millisecond, 1), "55.1s"}, {took(123*time.Second, 1), "2m03s"}, {took(64*time.Minute, 1), "1h04m"},
		{left(0), "0s"}, {left(-time.Second), "0s"}, {left(time.Millisecond), "1s"}, {left(17500 * time.Millisecond), "18s"}, {left(100 * time.Second), "1m40s"},
		{span2(192 * time.Minute), "3h12m"}, {span2(98 * time.Hour), "4d02h"},
		{clientURL("127.0.0.1:8080"), "http://127.0.0.1:8080"}, {clientURL(":8080"), "http://127.0.0.1:8080"},
		{clientURL("0.0.0.0:1"), "http://127.0.0.1:1"}, {clientURL("[::]:1"), "http://127.0.0.1:1"}, {clientURL("[::1]:1"), "http://[::1]:1"}, {clientURL("odd"), "http://odd"},
	}
	for i, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%d: %q, want %q", i, tt.got, tt.want)
		}
	}
}

func TestShortModel(t *testing.T) {
	tests := map[string]string{
		"claude-sonnet-4-5-20250929":   "sonnet-4.5",
		"claude-opus-4-1":              "opus-4.1",
		"claude-3-5-haiku-20241022":    "3-5-haiku",
		"claude-sonnet-4-20250514":     "sonnet-4",
		"anthropic/claude-haiku-4-5":   "haiku-4.5",
		"gpt-4o":                       "gpt-4o",
		"gpt-4o-2024-08-06":            "gpt-4o",
		"claude-sonnet-4-5[1m]":        "sonnet-4-5[1m]",
		"glm-4.6":                      "glm-4.6",
		"":                             "",
		"20250929":                     "20250929",
		"us.anthropic.claude-x-v1:0":   "us.anthropic.claude-x-v1:0",
		"openrouter/qwen/qwen3-coder":  "qwen3-coder",
		"claude-sonnet-4-5-v2-preview": "sonnet-4-5-v2-preview",
	}
	for in, want := range tests {
		if got := shortModel(in); got != want {
			t.Errorf("shortModel(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTerminal(t *testing.T) {
	tests := []struct {
		env     map[string]string
		profile profile
		light   bool
		ascii   bool
	}{
		{map[string]string{"TERM": "xterm-256color", "COLORTERM": "truecolor"}, trueColor, false, false},
		{map[string]string{"TERM": "xterm-256color", "LANG": "de_DE.UTF-8", "COLORFGBG": "15;0"}, ansi256, false, false},
		{map[string]string{"TERM": "tmux-256color", "LC_ALL": "C", "LANG": "de_DE.UTF-8"}, ansi256, false, true},
		{map[string]string{"TERM": "xterm", "LC_CTYPE": "C.utf8", "LANG": "C", "COLORFGBG": "0;default;15"}, ansi16, true, false},
		{map[string]string{"TERM": "xterm-kitty"}, trueColor, false, false},
		{map[string]string{"TERM": "xterm-direct"}, trueColor, false, false},
		{map[string]string{"TERM": "linux"}, ansi16, false, true},
		{map[string]string{"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, mono, false, false},
		{map[string]string{"TERM": "dumb", "COLORTERM": "truecolor"}, noStyle, false, true},
		{map[string]string{"WT_SESSION": "x"}, trueColor, false, false},
		{map[string]string{"LANG": "POSIX", "COLORFGBG": "8;8"}, mono, false, true},
	}
	for _, tt := range tests {
		getenv := func(k string) string { return tt.env[k] }
		if got := profileOf(getenv); got != tt.profile {
			t.Errorf("%v: profile %d, want %d", tt.env, got, tt.profile)
		}
		if got := isLight(getenv); got != tt.light {
			t.Errorf("%v: light %v, want %v", tt.env, got, tt.light)
		}
		if got := needsASCII(getenv); got != tt.ascii {
			t.Errorf("%v: ASCII %v, want %v", tt.env, got, tt.ascii)
		}
	}
}

func TestPercents(t *testing.T) {
	tests := []struct {
		shares []float64
		want   []int
	}{
		{nil, []int{}},
		{[]float64{1. / 3, 1. / 3, 1. / 3}, []int{34, 33, 33}},
		{[]float64{.416, .416, .168, 0}, []int{42, 41, 17, 0}},
		{[]float64{.52, 0, .31, .12, .05}, []int{52, 0, 31, 12, 5}},
		{[]float64{.29, .71}, []int{29, 71}},
		{[]float64{.006, .994}, []int{1, 99}},
		{[]float64{.126, .126}, []int{13, 13}}, // no whole
		{[]float64{0, 0}, []int{0, 0}},
	}
	for _, tt := range tests {
		if got := percents(tt.shares); !slices.Equal(got, tt.want) {
			t.Errorf("percents(%v) = %v, want %v", tt.shares, got, tt.want)
		}
	}
}

// TestLevelsStandEvenly: no label of the chart's scale is left out between others.
func TestLevelsStandEvenly(t *testing.T) {
	for rows := 4; rows <= 16; rows++ {
		for _, peak := range []float64{0, 11, 45, 77, 120, 193, 283, 330, 510, 600, 1000, 7777} {
			top, step := scale(peak, rows)
			if top < peak || step*float64(rows) < 2*top && step < top {
				t.Errorf("scale(%v, %d) = %v, %v", peak, rows, top, step)
			}
		}
	}
}

func TestCostsInWords(t *testing.T) {
	for _, tt := range []struct {
		usd                float64
		unpriced, included bool
		one, several       string
	}{
		{0, false, false, "", ""},
		{0.084, false, false, "$0.084", "$0.08"},
		{12.5, false, false, "$12.50", "$12.50"},
		{0, true, false, "?", "?"},
		{0.00001, true, false, "?", "?"},
		{0.084, true, false, "$0.084+", "$0.08+"},
		{99.99, true, false, "$99.99+", "$99.99+"},
		{205.1, true, false, "$205.10+", "$205+"},
		{20_510, true, false, "$20.5k+", "$20.5k+"},
		{0, false, true, "incl.", "incl."},
		{0.5, false, true, "$0.500", "$0.50"}, // an attempt before it was not
		{0, true, true, "?", "?"},
	} {
		if one, several := cost(tt.usd, tt.unpriced, tt.included), spent(tt.usd, tt.unpriced, tt.included); one != tt.one || several != tt.several {
			t.Errorf("$%v, unpriced %v, included %v: %q and %q, want %q and %q", tt.usd, tt.unpriced, tt.included, one, several, tt.one, tt.several)
		}
	}
}

func TestNothingSpentIsNothing(t *testing.T) {
	s := busyDay()
	s.Spend.Today, s.Spend.Unpriced = 0, 0
	if m := testModel(steady(s), 160, 45, trueColorEnv); !strings.Contains(text(m), "today $0.00 of $20.00") {
		t.Errorf("the header says %q", strings.SplitN(text(m), "\n", 2)[0])
	}
}

func TestFactorNumbersFitTheirColumn(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.001: "~0", 0.03118: "0.031", 0.517: "0.517", 1: "1", 2.584: "2.58", 12.34: "12.3", 500: "500", 1500: "1.5k"} {
		if got := factorNumber(v); got != want {
			t.Errorf("factorNumber(%v) = %q, want %q", v, got, want)
		}
	}
}
