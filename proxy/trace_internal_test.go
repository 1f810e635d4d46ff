package proxy

import (
	"net/http"
	"strings"
	"testing"
)

const (
	aTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	aParent = "00-" + aTrace + "-00f067aa0ba902b7-01"
)

func TestTraceID(t *testing.T) {
	for parent, want := range map[string]string{
		aParent: aTrace,
		strings.Replace(aParent, "-01", "-00", 1):           aTrace,
		strings.Replace(aParent, "00-", "cc-", 1):           aTrace, // a later version
		strings.Replace(aParent, "00-", "cc-", 1) + "-more": aTrace,
		aParent + "-more": "",
		strings.Replace(aParent, "00-", "cc-", 1) + "more":       "",
		strings.Replace(aParent, "00-", "ff-", 1):                "",
		strings.ToUpper(aParent):                                 "",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": "",
		"00-" + aTrace + "-0000000000000000-01":                  "",
		strings.Replace(aParent, "b34d", "b3xd", 1):              "",
		aParent[:54]: "", "": "", "-": "",
	} {
		if got := traceID(parent); got != want {
			t.Errorf("%q: %q, want %q", parent, got, want)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(aParent)
	f.Add("cc-" + aParent[3:] + "-x")
	f.Fuzz(func(t *testing.T, s string) {
		h := http.Header{"Traceparent": {s}, "Tracestate": {"a=b"}}
		id := traceOf(h)
		if (id == "") != (len(h) == 0) || id != "" && (len(id) != 32 || !lowerHex(id) || zeros(id)) {
			t.Errorf("%q: %q, %v", s, id, h)
		}
	})
}
