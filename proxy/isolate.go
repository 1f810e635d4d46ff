package proxy

import (
	"errors"
	"net/http"

	"anyproxy/internal/contain"
	"anyproxy/metrics"
	"anyproxy/providers"
)

var errPanic = errors.New("internal error")

// panicked logs a recovered panic. http.ErrAbortHandler is how a handler tears
// its connection: it goes on.
func (s *Server) panicked(v any, id string) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	contain.Told(s.logger, "panic while serving a request", v, "request", id)
}

// isolate keeps a panic to its own request while nothing of an answer has been
// sent. It is to be deferred.
func (s *Server) isolate(w http.ResponseWriter, id string) {
	if v := recover(); v != nil {
		s.panicked(v, id)
		writeError(w, id, refuse(http.StatusInternalServerError, errPanic.Error()))
	}
}

// isolate does the same for a request that may have been answered in part.
func (x *exchange) isolate() {
	if v := recover(); v != nil {
		x.s.panicked(v, x.id)
		x.end(metrics.PhaseFailed, http.StatusInternalServerError, errPanic.Error())
		x.reply.fail(http.StatusInternalServerError, errorBody(x.id, http.StatusInternalServerError, errPanic.Error()), func(http.Header) {})
	}
}

// contain turns a panic of an attempt into its failure, so that the next
// candidate can answer. It is to be deferred.
func (x *exchange) contain(err *error) {
	if v := recover(); v != nil {
		x.s.panicked(v, x.id)
		*err = &providers.Error{Class: providers.ClassBroken, Err: errPanic}
	}
}
