package proxy

import (
	"net"
	"net/http"
	"reflect"
	"strconv"
	"testing"

	"anyproxy/proxy/front"
)

// TestLargeHeadersAreNotKept: a map that has grown does not shrink, and whoever gets it
// next would walk through all of it.
func TestLargeHeadersAreNotKept(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r := &reply{w: w, stream: true}
		r.begin()
		for range 20 { // the pool forgets some, under the race detector
			var large uintptr
			r.head(http.StatusOK, func(h http.Header) {
				large = reflect.ValueOf(h).Pointer()
				for i := range 1000 {
					h["X-"+strconv.Itoa(i)] = []string{"1"}
				}
			})
			if h := headers.Get().(http.Header); reflect.ValueOf(h).Pointer() == large {
				t.Error("it is used again")
				break
			}
		}
		r.head(http.StatusOK, func(http.Header) {})
		_ = r.ahead.Write([]byte("x"))
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &front.Server{HTTP: &http.Server{Handler: h}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() { _ = s.Close(); <-served }()
	defer http.DefaultClient.CloseIdleConnections()
	res, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}
