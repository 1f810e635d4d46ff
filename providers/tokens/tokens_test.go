package tokens

import (
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	data := strings.Repeat("A", 3200)
	block := func(kind, media string) string {
		return `{"type":"` + kind + `","source":{"type":"base64","media_type":"` + media + `","data":"` + data + `"}}`
	}
	for _, tt := range []struct {
		name, messages string
		want           Contents // Text is a bound
	}{
		{"text", `[{"role":"user","content":"` + data + `"}]`, Contents{Text: 3250}},
		{"image", `[{"role":"user","content":[` + block("image", "image/png") + `]}]`, Contents{Text: 150, Images: 1}},
		{"image at a URL", `[{"role":"user","content":[{"source":{"type":"url","url":"u"},"type":"image"}]}]`, Contents{Text: 150, Images: 1}},
		{"PDF", `[{"role":"user","content":[` + block("document", "application/pdf") + `]}]`, Contents{Text: 150, Documents: 3202}},
		{"in a result", `[{"role":"user","content":[{"type":"tool_result","content":[` + block("image", "image/png") + `,{"type":"text","text":"x"}]}]}]`, Contents{Text: 250, Images: 1}},
		{"text document", `[{"role":"user","content":[{"type":"document","source":{"type":"text","data":"` + data + `"}}]}]`, Contents{Text: 3350}},
		{"broken", `[{"role":"user","content":[{"type":`, Contents{}},
	} {
		got := Count([]byte(`{"messages":` + tt.messages + `}`))
		if got.Text > tt.want.Text || got.Text < tt.want.Text-150 {
			t.Errorf("%s: %d bytes of text, want at most %d", tt.name, got.Text, tt.want.Text)
		}
		got.Text = tt.want.Text
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	all := Count([]byte(`{"system":"abcdef","tools":[{"name":"x"}],"messages":[],"max_tokens":1}`))
	if want := (Contents{Text: 10, Schemas: 14}); all != want {
		t.Errorf("%+v, want %+v", all, want)
	}
}

func TestEstimate(t *testing.T) {
	if n := (Contents{Text: 4000, Schemas: 500, Documents: 3200, Images: 2}).Estimate(); n != 1000+100+100+3200 {
		t.Errorf("%d", n)
	}
	if n := (Contents{}).Estimate(); n != 1 {
		t.Errorf("nothing is %d", n)
	}
}

func FuzzCount(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"x"}}]}],"system":"s","tools":[]}`))
	f.Add([]byte(`{"messages":[{"content":[{"content":[{"source":{"data":`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if c := Count(body); c.Text < 0 || c.Text+c.Schemas+c.Documents > 2*len(body) || c.Estimate() < 1 {
			t.Fatalf("%+v of %d bytes", c, len(body))
		}
	})
}
