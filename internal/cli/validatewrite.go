package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"anyproxy/config"
)

// newFile is the mode of a configuration that is written for the first time: keys
// may stand in it.
const newFile = 0o600

// write puts the configuration with the contexts that the providers state into a
// file. Where that would not change the file it is left alone.
func (v *validation) write(path string) error {
	if err := v.allAnswered("nothing is written"); err != nil {
		return err
	}
	stated := map[int]int{}
	for i := range v.targets {
		if t := &v.targets[i]; t.changes() {
			stated[t.index] = t.stated
		}
	}
	same := sameFile(path, v.doc.Name)
	if len(stated) == 0 && same {
		return nil
	}
	text, err := v.doc.WithContexts(stated, v.getenv)
	if err != nil {
		return hinted(err, "nothing is written")
	}
	if now, err := config.Load(v.doc.Name, v.getenv); err != nil || now.Hash != v.doc.Hash {
		return hinted(fmt.Errorf("%s has changed meanwhile", v.doc.Name), "nothing is written; call validate again")
	}
	if err := config.WriteFile(path, text, newFile); err != nil {
		return hinted(err, "name a file in a folder that you may write to")
	}
	v.written = path
	return nil
}

// allAnswered is the error of providers that could not be asked, but may be at
// another time. consequence is what does not happen for that reason.
func (v *validation) allAnswered(consequence string) error {
	var missing []string
	for _, a := range v.asked {
		if a.State.unanswered() {
			missing = append(missing, a.provider.Name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return hinted(errors.New(consequence+": no answer of "+strings.Join(missing, ", ")), "the warnings above say why")
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, other := os.Stat(b)
	return err == nil && other == nil && os.SameFile(x, y)
}
