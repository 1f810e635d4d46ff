// Package logging sets up the operational log: what the program tells about
// itself, as opposed to the request log.
//
// A record is one line, whatever stands in it: values are quoted, and control
// and direction-changing characters in foreign text become visible escapes, so
// that an upstream's error can neither forge a line nor steer a terminal. Every
// line goes through the redactor.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"anyproxy/internal/redact"
)

// clock is the time in a text line, local. The day is left to whoever collects
// lines over days; the JSON form has the full time.
const clock = "15:04:05.000"

// New returns a logger to w. level is DEBUG, INFO, WARN or ERROR and format is
// text or json, in any case; empty means INFO and text. Of an unknown value the
// default is taken, and warning says so; it is "" when there is nothing to say.
//
// Each record is one Write. A w that blocks blocks whoever logs.
func New(w io.Writer, level, format string, r *redact.Redactor) (log *slog.Logger, warning string) {
	lvl, levelOK := parseLevel(level)
	w = r.Writer(w)
	var h slog.Handler
	formatOK := true
	switch strings.ToLower(format) {
	case "json":
		h = slog.NewJSONHandler(cleaner{w}, &slog.HandlerOptions{Level: lvl})
	default:
		formatOK = format == "" || strings.EqualFold(format, "text")
		h = slog.NewTextHandler(cleaner{w}, &slog.HandlerOptions{Level: lvl, ReplaceAttr: shortTime})
	}
	return slog.New(h), warn(level, levelOK, format, formatOK)
}

func parseLevel(s string) (level slog.Level, ok bool) {
	switch strings.ToUpper(s) {
	case "DEBUG":
		return slog.LevelDebug, true
	case "INFO", "":
		return slog.LevelInfo, true
	case "WARN":
		return slog.LevelWarn, true
	case "ERROR":
		return slog.LevelError, true
	default:
		return slog.LevelInfo, false
	}
}

func warn(level string, levelOK bool, format string, formatOK bool) string {
	var out []string
	if !levelOK {
		out = append(out, fmt.Sprintf("LOG_LEVEL %+q is not one of DEBUG, INFO, WARN, ERROR: using INFO", level))
	}
	if !formatOK {
		out = append(out, fmt.Sprintf("LOG_FORMAT %+q is not one of text, json: using text", format))
	}
	return strings.Join(out, "; ")
}

func shortTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().Format(clock))
	}
	return a
}
