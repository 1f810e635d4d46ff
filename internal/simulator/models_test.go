package simulator

import (
	"io"
	"net/http"
	"testing"
)

func TestListsOfModels(t *testing.T) {
	models := []string{"a", "b", "us.anthropic.c", "anthropic.d"}
	contexts := map[string]int{"a": 1000, "anthropic.d": 5}
	plain := Options{Models: models, Contexts: contexts, AWS: &AWS{APIKey: "key"}}
	chat := plain
	chat.OpenAI = &Dialect{Context: "context_window"}
	silent := plain
	silent.OpenAI = &Dialect{}
	model := func(id, more string) string {
		return `{"type":"model","id":"` + id + `","display_name":"` + id + `","created_at":"2025-10-01T00:00:00Z"` + more + `}`
	}
	for _, c := range []struct {
		options Options
		path    string
		want    string
	}{
		{plain, "/v1/models?limit=2", `{"data":[` + model("a", `,"max_input_tokens":1000`) + `,` + model("b", "") + `],"has_more":true,"first_id":"a","last_id":"b"}`},
		{plain, "/v1/models?limit=2&after_id=b", `{"data":[` + model("us.anthropic.c", "") + `,` + model("anthropic.d", `,"max_input_tokens":5`) + `],"has_more":false,"first_id":"us.anthropic.c","last_id":"anthropic.d"}`},
		{plain, "/v1/models?after_id=anthropic.d", `{"data":[],"has_more":false,"first_id":"","last_id":""}`},
		{plain, "/foundation-models", `{"modelSummaries":[{"modelId":"anthropic.d","providerName":"Anthropic"}]}`},
		{plain, "/inference-profiles", `{"inferenceProfileSummaries":[{"inferenceProfileId":"a","type":"SYSTEM_DEFINED"},{"inferenceProfileId":"b","type":"SYSTEM_DEFINED"},{"inferenceProfileId":"us.anthropic.c","type":"SYSTEM_DEFINED"}]}`},
		{Options{Models: models[:1], Contexts: contexts, OpenAI: chat.OpenAI}, "/any/v1/models", `{"data":[{"context_window":1000,"created":1759276800,"id":"a","object":"model","owned_by":"simulated"}],"object":"list"}`},
		{Options{Models: models[:1], Contexts: contexts, OpenAI: silent.OpenAI}, "/v1/models", `{"data":[{"created":1759276800,"id":"a","object":"model","owned_by":"simulated"}],"object":"list"}`},
	} {
		u, err := Start(t.Context(), c.options)
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, u.URL()+c.path, nil)
		req.Header.Set("Authorization", "Bearer key")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || string(body) != c.want {
			t.Errorf("%s: %d\n%s\nwant\n%s", c.path, res.StatusCode, body, c.want)
		}
	}
}
