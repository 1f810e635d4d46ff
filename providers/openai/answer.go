package openai

import (
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

// An answer is an upstream's response to a converted request.
type answer struct {
	upstream.Answer
	reply reply
}

// reply is what an answer needs to know of its request.
type reply struct {
	model  string
	target *target
	names  *toolNames
	seals  *seals                // nil where calls have none
	learn  func(providers.Usage) // is told the usage; nil = nothing can be learnt of it
}

// accept looks at the head of a response and makes a Stream or an Error of it.
func (c *conversion) accept(a answer, stream bool) (*providers.Stream, complaint, error) {
	frames, said, err := a.frames(stream)
	if err != nil {
		a.Res.Body.Close()
		return nil, said, err
	}
	limits := a.Limits()
	h := upstream.EndToEnd(a.Res.Header)
	h.Set("Content-Type", "application/json")
	if stream {
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
	}
	return &providers.Stream{
		Status: a.Res.StatusCode, Header: h, Degraded: c.lost, Limits: limits, Opaque: c.reasoning, Frames: frames,
	}, complaint{}, nil
}

func (a answer) frames(stream bool) (providers.Frames, complaint, error) {
	if err := a.Check(); err != nil {
		return nil, complaint{}, err
	}
	kind := upstream.ContentType(a.Res.Header)
	switch {
	case a.Res.StatusCode >= 400:
		e, said := a.refused()
		return nil, said, e
	case stream && kind == "text/event-stream":
		return newStream(a), complaint{}, nil
	case upstream.IsJSON(kind):
		return newMessage(a, stream), complaint{}, nil
	default:
		return nil, complaint{}, a.Unusable("content type %.40q", kind)
	}
}

// observe lets the target learn from the usage of a whole answer.
func (a answer) observe(m *composer) {
	if m.counted && a.reply.learn != nil {
		a.reply.learn(m.usage)
	}
}
