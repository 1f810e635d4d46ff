package contain_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"anyproxy/internal/contain"
)

func breakDown() { panic("gone for good") }

func TestAPanicIsLoggedCountedAndAnError(t *testing.T) {
	for name, part := range map[string]func(*slog.Logger) error{
		"Panic": func(logger *slog.Logger) error {
			done := make(chan error, 1)
			go func() {
				defer close(done)
				defer contain.Panic(logger, "a part")
				breakDown()
			}()
			return <-done
		},
		"Error": func(logger *slog.Logger) (err error) {
			defer contain.Error(logger, "a part", &err)
			breakDown()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			before := contain.Count()
			err := part(slog.New(slog.NewTextHandler(&b, nil)))
			if (err != nil) != (name == "Error") || err != nil && err.Error() != "a part: internal error: gone for good" {
				t.Errorf("the error is %v", err)
			}
			if n := contain.Count() - before; n != 1 {
				t.Errorf("%d were counted", n)
			}
			for _, want := range []string{"level=ERROR", `part="a part"`, `panic="gone for good"`, "contain_test.breakDown"} {
				if !strings.Contains(b.String(), want) {
					t.Errorf("%q is not in %s", want, b.String())
				}
			}
		})
	}
}

func TestWithoutAPanicNothingIsSaid(t *testing.T) {
	var b bytes.Buffer
	before := contain.Count()
	logger := slog.New(slog.NewTextHandler(&b, nil))
	err := func() (err error) {
		defer contain.Panic(logger, "a part")
		defer contain.Error(logger, "a part", &err)
		return nil
	}()
	if err != nil || b.Len() > 0 || contain.Count() != before {
		t.Errorf("%v, %s", err, b.String())
	}
}
