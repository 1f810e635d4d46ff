package metrics

import "time"

// LogLine is one line of the operational log, secrets replaced.
type LogLine struct {
	Seq   uint64    `json:"seq"` // 1 for the first line
	Time  time.Time `json:"time"`
	Level string    `json:"level"` // DEBUG, INFO, WARN or ERROR
	Text  string    `json:"text"`  // the message and its attributes
}
