// Package jsonline writes JSON objects byte for byte as encoding/json does with
// SetEscapeHTML(false), but for a caller that knows its fields: without
// reflection and, where the buffer has room, without an allocation.
//
// Names and order are the caller's, who must not leave a container open or a
// name without a value.
package jsonline

import (
	"math"
	"strconv"
	"time"
)

// Line is a text under construction. A comma is put where one belongs.
type Line []byte

// Open begins an object or an array, by its bracket, as a member's value or an element.
func (l *Line) Open(bracket byte) { *l = append(l.element(), bracket) }

// Close ends what was opened last, by its bracket.
func (l *Line) Close(bracket byte) { *l = append(*l, bracket) }

// Name begins a member. name stands in the text as it is: it must need no escape.
func (l *Line) Name(name string) {
	b := append(append(l.element(), '"'), name...)
	*l = append(b, '"', ':')
}

// Key is Name for a name that comes from outside.
func (l *Line) Key(name string) { *l = append(AppendString(l.element(), name), ':') }

// Members are members as another Line holds them, or the name of one that follows.
func (l *Line) Members(text []byte) { *l = append(l.element(), text...) }

// element returns the text with what has to stand before one more element or member.
func (l *Line) element() []byte {
	b := *l
	if len(b) == 0 {
		return b
	}
	switch b[len(b)-1] {
	case '{', '[', ':', '\n':
		return b
	}
	return append(b, ',')
}

// String is a member that is a string. What is not UTF-8 in it becomes U+FFFD.
func (l *Line) String(name, s string) {
	l.Name(name)
	*l = AppendString(*l, s)
}

// Int is a member that is a whole number.
func (l *Line) Int(name string, n int64) {
	l.Name(name)
	*l = strconv.AppendInt(*l, n, 10)
}

// Float is a member that is a number; 0 where JSON has none for it.
func (l *Line) Float(name string, f float64) {
	l.Name(name)
	*l = appendFloat(*l, f)
}

// Bool is a member that is true or false.
func (l *Line) Bool(name string, v bool) {
	l.Name(name)
	*l = strconv.AppendBool(*l, v)
}

// Null is a member without a value.
func (l *Line) Null(name string) {
	l.Name(name)
	*l = append(*l, "null"...)
}

// Time is a member that is a time of RFC 3339; null where that has none for it,
// such as after the year 9999.
func (l *Line) Time(name string, t time.Time) {
	l.Name(name)
	if b, err := t.AppendText(append(*l, '"')); err == nil {
		*l = append(b, '"')
	} else {
		*l = append(*l, "null"...)
	}
}

// OptString is String, left out when it is empty.
func (l *Line) OptString(name, s string) {
	if s != "" {
		l.String(name, s)
	}
}

// OptInt is Int, left out when it is 0.
func (l *Line) OptInt(name string, n int64) {
	if n != 0 {
		l.Int(name, n)
	}
}

// OptFloat is Float, left out when it is 0 or JSON has none for it.
func (l *Line) OptFloat(name string, f float64) {
	if f != 0 && finite(f) {
		l.Float(name, f)
	}
}

// OptBool is Bool, left out when it is false.
func (l *Line) OptBool(name string, v bool) {
	if v {
		l.Bool(name, v)
	}
}

// appendFloat writes a number as ECMAScript does, which is what encoding/json
// does: with an exponent below 1e-6 and from 1e21 on, of one digit where it has one.
func appendFloat(b []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case !finite(f):
		return append(b, '0')
	case f == float64(int32(f)) && f != 0: // nearly all that are whole, and 0 may be negative
		return strconv.AppendInt(b, int64(f), 10)
	case abs == 0 || abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
