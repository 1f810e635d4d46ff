package cli

import (
	"io"

	"anyproxy/config"
)

// validateFormat is the version of what -json prints.
const validateFormat = 1

// validateJSON is what -json prints. Fields may be added.
type validateJSON struct {
	V         int            `json:"v"`
	Config    string         `json:"config"`
	Valid     bool           `json:"valid"`
	Error     string         `json:"error,omitempty"`
	Problems  []problemJSON  `json:"problems"`
	Warnings  []string       `json:"warnings"`
	Providers []providerJSON `json:"providers"` // none where nobody was asked
	Targets   []targetJSON   `json:"targets"`
	Probes    []probe        `json:"probes,omitempty"`  // of -probe
	Written   string         `json:"written,omitempty"` // the file that -write has written
}

type problemJSON struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

type providerJSON struct {
	Name   string              `json:"name"`
	Type   config.ProviderType `json:"type"`
	List   listState           `json:"list"`
	Error  string              `json:"error,omitempty"`
	Models int                 `json:"models"` // listed
}

type targetJSON struct {
	Index    int       `json:"index"` // of models in the file
	Line     int       `json:"line"`
	Provider string    `json:"provider"`
	Model    string    `json:"model"` // "" = the asked one
	Alias    []string  `json:"alias"`
	Tier     int       `json:"tier"`
	Listed   *bool     `json:"listed"` // null = nobody could say
	Nearest  []string  `json:"nearest,omitempty"`
	Context  int       `json:"context"` // configured; 0 = not
	Stated   int       `json:"stated_context"`
	Features []feature `json:"features"`
}

func (v *validation) writeJSON(out io.Writer, failed error) error {
	doc := validateJSON{V: validateFormat, Valid: failed == nil, Written: v.written, Probes: v.probes, Problems: []problemJSON{}, Warnings: append([]string{}, v.warnings...),
		Providers: []providerJSON{}, Targets: []targetJSON{}}
	if failed != nil {
		doc.Error = failed.Error()
	}
	if v.doc != nil {
		doc.Config = v.doc.Name
		for _, p := range v.doc.Problems {
			doc.Problems = append(doc.Problems, problemJSON{p.Line, p.Col, p.Key, p.Reason})
		}
	}
	for _, a := range v.asked {
		doc.Providers = append(doc.Providers, providerJSON{a.provider.Name, a.provider.Type, a.State, a.Error, len(a.list.Models)})
	}
	for i := range v.targets {
		t := &v.targets[i]
		doc.Targets = append(doc.Targets, targetJSON{t.index, t.model.Pos.Line, t.model.Provider, t.model.Name, append([]string{}, t.model.Alias...),
			t.model.Tier, t.known, t.near, t.model.Context, t.stated, t.features})
	}
	return printJSON(out, doc)
}
