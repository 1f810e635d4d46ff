package front

// Watched is how many connections s is to be told of.
func Watched(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch == nil {
		return 0
	}
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return len(s.watch.conns)
}
