package ptytest

import (
	"os"
	"os/exec"
	"testing"

	_ "github.com/charmbracelet/bubbletea" // asks the terminal in its init function
)

// TestQuestionsAreSeen starts this test binary, in which nothing keeps Bubble
// Tea from asking: the question must be seen.
func TestQuestionsAreSeen(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if asked := Questions(Output(t, cmd)); len(asked) == 0 {
		t.Error("no question seen from a program that asks")
	}
}

func TestQuestions(t *testing.T) {
	tests := []struct {
		out  string
		want int
	}{
		{"hello\r\n", 0},
		{"\x1b[31mred\x1b[0m\x1b[2J\x1b[?25l\x1b]0;title\x07", 0},
		{"\x1b]11;?\x1b\\", 1},
		{"\x1b]10;?\x07\x1b[6n", 2},
		{"\x1b[c", 1},
		{"\x1b[>0c", 1},
	}
	for _, tt := range tests {
		if got := Questions([]byte(tt.out)); len(got) != tt.want {
			t.Errorf("%q: %q, want %d", tt.out, got, tt.want)
		}
	}
}
