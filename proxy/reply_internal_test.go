package proxy

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"testing"

	"anyproxy/proxy/wire"
)

// TestLargeHeadersAreNotKept: a map that has grown does not shrink, and whoever gets it
// next would walk through all of it.
func TestLargeHeadersAreNotKept(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r := &reply{w: w, r: req, stream: true}
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
		_ = r.wire.Write([]byte("x"))
	}))
	s.Listener = wire.Listener(s.Listener)
	s.Config.ConnContext = wire.Context
	s.Start()
	defer s.Close()
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}
