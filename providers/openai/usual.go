package openai

import (
	"bytes"

	"anyproxy/internal/jsonscan"
)

// usual knows by sight what most chunks of a stream are: the one before with
// other words. What stands around the words has been read once, so a chunk that
// has the same around a sound string means the same.
type usual struct{ head, tail []byte }

// words are the text of a usual chunk, as it stands between quotes; nil when the
// chunk is another one.
func (u *usual) words(data []byte) []byte {
	from, to := len(u.head), len(data)-len(u.tail)
	if from == 0 || from > to || !bytes.Equal(data[:from], u.head) || !bytes.Equal(data[to:], u.tail) {
		return nil
	}
	if end, err := jsonscan.Value(data, from-1, 0); err != nil || end != to+1 { // from quote to quote
		return nil
	}
	return data[from:to]
}

// remember takes note of what stands around the words of data, which k was read
// from, if it says nothing else.
func (u *usual) remember(data []byte, k *chunk) {
	if len(k.text) == 0 || k.reasoning != nil || k.refusal != nil || len(k.calls) > 0 || k.finish != nil || k.counted || len(k.scratch) > 0 {
		return
	}
	at := cap(data) - cap(k.text) // the text is a part of data
	u.head = append(u.head[:0], data[:at]...)
	u.tail = append(u.tail[:0], data[at+len(k.text):]...)
}
