package metrics

import "time"

// Review is a changed configuration file that waits for a decision, or one that
// cannot be used. Nothing in it is secret. It is never changed: a newer save
// makes a new one.
type Review struct {
	// Hash names the bytes that the Review is about. Whoever applies or rejects
	// gives it back, so that nothing is applied that was not shown.
	Hash string    `json:"hash"`
	File string    `json:"file"`
	At   time.Time `json:"at"` // when the file was read
	// Problems say why the file cannot be used. The running configuration stays,
	// and there is nothing to decide.
	Problems []Problem `json:"problems,omitempty"`
	Changes  []Change  `json:"changes,omitempty"`
	Effect   Effect    `json:"effect"`
	// Text is what has changed in the file's text, masked, with some lines around.
	Text []TextLine `json:"text,omitempty"`
}

// Usable reports whether the file can be applied.
func (r *Review) Usable() bool { return len(r.Problems) == 0 }

// Problem is one thing wrong with a file.
type Problem struct {
	Line   int    `json:"line,omitempty"` // 1-based; 0 = of the file as a whole
	Col    int    `json:"col,omitempty"`
	Key    string `json:"key,omitempty"`
	Reason string `json:"reason"`
	// Excerpt is the masked line and, below it, a caret; "" where it may not be shown.
	Excerpt string `json:"excerpt,omitempty"`
	// Text is the whole problem in a line: file:line:col: key: reason.
	Text string `json:"text"`
}

// Change is one difference between the running configuration and the file.
type Change struct {
	Path string     `json:"path"` // models[zai/glm-4.6].weight
	Kind ChangeKind `json:"kind"`
	// Old and New are "" where there is nothing, and for secrets.
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
	Secret bool   `json:"secret,omitempty"` // that it changed is all that is told
}

// ChangeKind is a closed set.
type ChangeKind string

const (
	ChangeAdded     ChangeKind = "added"
	ChangeRemoved   ChangeKind = "removed"
	ChangeChanged   ChangeKind = "changed"
	ChangeReordered ChangeKind = "reordered" // the same entries in another order
)

// TextLine is a line of a text diff. One that stays has both numbers, one that
// goes only Old, one that comes only New.
type TextLine struct {
	Old  int    `json:"old,omitempty"`
	New  int    `json:"new,omitempty"`
	Text string `json:"text"`
}

// Effect is what applying a Review does.
type Effect struct {
	// Aliases are those whose providers or shares of new traffic change.
	Aliases []AliasEffect `json:"aliases,omitempty"`
	// Restart are the changed keys that take effect at the next start only.
	Restart  []string `json:"restart,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Finishing is how many requests run on providers that are removed or made
	// anew; they finish as they began.
	Finishing int `json:"finishing,omitempty"`
}

// AliasEffect is how the traffic of one alias, or of a model that clients ask
// for by its name, is shared out.
type AliasEffect struct {
	Alias  string        `json:"alias"`
	Gains  []string      `json:"gains,omitempty"` // providers
	Loses  []string      `json:"loses,omitempty"`
	Shares []ShareChange `json:"shares"` // those of now first, in their order
}

// ShareChange is an upstream's part of an alias's new traffic, 0–1: now, and if
// the file were applied now.
type ShareChange struct {
	Provider string  `json:"provider"`
	Model    string  `json:"model,omitempty"` // the upstream's name; "" = the asked one
	Old      float64 `json:"old"`
	New      float64 `json:"new"`
}

// ReloadResult is how a changed configuration ended. A closed set.
type ReloadResult string

const (
	ReloadApplied  ReloadResult = "applied"
	ReloadRejected ReloadResult = "rejected" // by a person
	ReloadInvalid  ReloadResult = "invalid"  // it could not be used
)

// Reloads counts changed configurations by their result.
type Reloads struct {
	Applied  int64 `json:"applied"`
	Rejected int64 `json:"rejected"`
	Invalid  int64 `json:"invalid"`
}
