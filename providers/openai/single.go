package openai

import (
	"io"

	"anyproxy/providers"
)

// single is an answer that is there: one frame.
type single struct{ body []byte }

func (s *single) Next() (providers.Frame, error) {
	if s.body == nil {
		return providers.Frame{}, io.EOF
	}
	f := providers.Frame{Bytes: s.body, Kind: providers.End}
	s.body = nil
	return f, nil
}

func (s *single) Close() error {
	s.body = nil
	return nil
}
