package tui

// list is the selection and the scroll position of a pane. The selection is
// kept by identity, so that it stays with its row while rows come and go.
// Without one the first row is selected and the list follows the newest.
type list struct {
	id     string
	index  int // where id was last
	offset int
}

// sync finds the selected row again among n rows.
func (l *list) sync(n int, id func(int) string) {
	if l.id == "" {
		l.index, l.offset = 0, 0
		return
	}
	for i := range n {
		if id(i) == l.id {
			l.index = i
			return
		}
	}
	l.index = max(0, min(l.index, n-1))
	l.id = ""
	if n > 0 && l.index > 0 {
		l.id = id(l.index)
	}
}

// move goes by d rows and stops at the ends.
func (l *list) move(d, n int, id func(int) string) {
	l.sync(n, id)
	l.index = max(0, min(l.index+d, n-1))
	l.id = ""
	if l.index > 0 {
		l.id = id(l.index)
	}
}

// window returns the first of the visible rows such that the selected one is among them.
func (l *list) window(n, visible int) int {
	l.offset = min(l.offset, l.index)
	l.offset = max(l.offset, l.index-visible+1)
	l.offset = max(0, min(l.offset, n-visible))
	return l.offset
}
