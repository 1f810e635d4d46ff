package tui

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// count groups thousands: 1 284.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// short keeps a number within five columns: 512, 18.2k, 4.8M.
func short(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10)
	case n < 999_950:
		return fmt.Sprintf("%.1fk", float64(n)/1e3)
	case n < 999_950_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1fG", float64(n)/1e9)
}

// rate is tokens per second with one decimal below a thousand; "" for none.
func rate(tps float64) string {
	switch {
	case tps <= 0:
		return ""
	case tps < 999.95:
		return strconv.FormatFloat(tps, 'f', 1, 64)
	}
	return short(int64(tps + 0.5))
}

// took is a duration that is over: 0.31s, 9.1s, 55.1s, 2m03s, 1h04m.
func took(d time.Duration, decimals int) string {
	switch s := d.Seconds(); {
	case s < 9.995 && decimals == 2:
		return fmt.Sprintf("%.2fs", s)
	case s < 99.95:
		return fmt.Sprintf("%.1fs", s)
	}
	return span2(d)
}

// left is a countdown in whole seconds, rounded up: it is never 0 too early.
func left(d time.Duration) string {
	d = max(0, (d + time.Second - 1).Truncate(time.Second))
	if d < 100*time.Second {
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	return span2(d)
}

// span2 is a duration in its two largest units: 45s, 2m03s, 3h12m, 4d02h.
func span2(d time.Duration) string {
	s := int64(max(0, d) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// percent is a share between 0 and 1.
func percent(share float64) string {
	return strconv.Itoa(int(share*100+0.5)) + "%"
}

// percents are shares as whole percents. Shares of one whole make 100 also when
// rounded: those that rounding down takes most from are rounded up.
func percents(shares []float64) []int {
	whole, sum := make([]int, len(shares)), 0.0
	missing, byLoss := 100, make([]int, len(shares))
	for i, share := range shares {
		whole[i], byLoss[i] = int(share*100+1e-9), i
		missing -= whole[i]
		sum += share
	}
	if math.Abs(sum-1) > 0.005 { // parts of something else
		for i, share := range shares {
			whole[i] = int(share*100 + 0.5)
		}
		return whole
	}
	loss := func(i int) float64 { return shares[i]*100 - float64(whole[i]) }
	slices.SortStableFunc(byLoss, func(i, j int) int { return cmp.Compare(loss(j), loss(i)) })
	for _, i := range byLoss[:max(0, min(missing, len(byLoss)))] {
		whole[i]++
	}
	return whole
}

// shortModel leaves of a model's name what tells it from its siblings:
// claude-sonnet-4-5-20250929 is sonnet-4.5.
func shortModel(name string) string {
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = strings.TrimPrefix(name, "claude-")
	parts := strings.Split(name, "-")
	n := len(parts)
	switch {
	case n > 1 && isNumber(parts[n-1], 8): // 20250929
		n--
	case n > 3 && isNumber(parts[n-3], 4) && isNumber(parts[n-2], 2) && isNumber(parts[n-1], 2): // 2024-08-06
		n -= 3
	}
	if n > 2 && isNumber(parts[n-1], 1) && isNumber(parts[n-2], 1) {
		n--
		parts[n-1] += "." + parts[n]
	}
	return strings.Join(parts[:n], "-")
}

func isNumber(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789") == ""
}

// clientURL is where a client on this machine finds a listener.
func clientURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
