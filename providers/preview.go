package providers

import "net/http"

// A Preview is what a Provider would send for a Request, made by the code that
// makes it when it is sent.
type Preview struct {
	Header http.Header
	Body   []byte
	Lost   []string // as of Stream.Degraded
}

// A Previewer is a Provider that tells what it would send. The error is that of a
// request which it would refuse by itself.
type Previewer interface {
	Preview(r *Request) (Preview, error)
}
