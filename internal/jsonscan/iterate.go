package jsonscan

// walk is what the two iterators share: where in a container they are.
type walk struct {
	// Val is where the value stands that the iterator is at. Behind
	// Object.NextKey and Array.NextValue only its Start is known.
	Val Span

	b       []byte
	i       int // where scanning goes on
	depth   int // how deep a value may still nest
	state   state
	fault   fault
	pending bool // the value at Val.Start has not been scanned
}

type state uint8

const (
	opened state = iota // behind the opening bracket
	inside              // behind a value
	closed              // behind the closing bracket, or failed
)

func open(b []byte, i, maxDepth int, c byte) (walk, error) {
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != c {
		i, f := at(b, i)
		return walk{}, newError(i, f)
	}
	if maxDepth <= 0 {
		return walk{}, newError(i, tooDeep)
	}
	return walk{b: b, i: i + 1, depth: maxDepth - 1}, nil
}

// Raw is the text of the value that the iterator is at.
func (w *walk) Raw() []byte { return w.b[w.Val.Start:w.Val.End] }

// Err is the fault that ended the iteration, nil after a whole container.
func (w *walk) Err() error {
	if w.fault == sound {
		return nil
	}
	return newError(w.i, w.fault)
}

// End is the index just behind the container, known once Next has returned
// false without an error.
func (w *walk) End() int { return w.i }

// Skip tells the iterator that the value at Val.Start has been checked by the
// caller and ends at end.
func (w *walk) Skip(end int) { w.i, w.Val.End, w.pending = end, end, false }

// Finish checks the value at Val.Start, so that Raw gives it.
func (w *walk) Finish() bool { return w.finish() }

func (w *walk) fail(i int, f fault) bool {
	w.i, w.fault, w.state = i, f, closed
	return false
}

// finish scans the value at Val.Start if nobody has.
func (w *walk) finish() bool {
	if !w.pending {
		return true
	}
	end, f := value(w.b, w.Val.Start, w.depth)
	if f != sound {
		return w.fail(end, f)
	}
	w.i, w.Val.End, w.pending = end, end, false
	return true
}

// step goes to the next member or element and reports whether there is one;
// c is the container's closing bracket.
func (w *walk) step(c byte) bool {
	if w.state == closed || !w.finish() {
		return false
	}
	w.i = skipSpace(w.b, w.i)
	if w.i < len(w.b) && w.b[w.i] == c {
		w.i, w.state = w.i+1, closed
		return false
	}
	if w.state == inside {
		if w.i >= len(w.b) || w.b[w.i] != ',' {
			return w.fail(at(w.b, w.i))
		}
		w.i = skipSpace(w.b, w.i+1)
	}
	w.state = inside
	return true
}

// An Object iterates over the members of a JSON object, in their order;
// repeated names come as often as they stand there.
type Object struct {
	// Key is the member's name as it stands between its quotes, escapes included.
	Key []byte
	walk
}

// OpenObject starts at the object that begins at or, behind white space, after
// b[i]. maxDepth counts the object itself.
func OpenObject(b []byte, i, maxDepth int) (Object, error) {
	w, err := open(b, i, maxDepth, '{')
	return Object{walk: w}, err
}

// Next goes to the next member and checks its value.
func (o *Object) Next() bool { return o.NextKey() && o.finish() }

// NextKey goes to the next member without looking at its value, for a caller
// that opens the value itself and says with Skip where it ended. A value that
// is not skipped is checked by the next call of NextKey, Next or Finish.
func (o *Object) NextKey() bool {
	if !o.step('}') {
		return false
	}
	start := o.i + 1
	quote, next, f := key(o.b, o.i)
	if f != sound {
		return o.fail(next, f)
	}
	o.Key, o.Val, o.pending = o.b[start:quote], Span{Start: next}, true
	return true
}

// An Array iterates over the elements of a JSON array.
type Array struct{ walk }

// OpenArray starts at the array that begins at or, behind white space, after
// b[i]. maxDepth counts the array itself.
func OpenArray(b []byte, i, maxDepth int) (Array, error) {
	w, err := open(b, i, maxDepth, '[')
	return Array{w}, err
}

// Next goes to the next element and checks it.
func (a *Array) Next() bool { return a.NextValue() && a.finish() }

// NextValue goes to the next element without looking at it, for a caller that
// opens it itself and says with Skip where it ended. One that is not skipped is
// checked by the next call of NextValue, Next or Finish.
func (a *Array) NextValue() bool {
	if !a.step(']') {
		return false
	}
	a.Val, a.pending = Span{Start: a.i}, true
	return true
}
