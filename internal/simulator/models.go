package simulator

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// listed is a model that an upstream has. context is in tokens; 0 = not stated.
type listed struct {
	id      string
	context int
}

// defaultPage is how many models the Messages API lists at a time
// (platform.claude.com/docs/en/api/models/list).
const defaultPage = 20

// messagesList is a page of the Messages API's list.
func messagesList(models []listed, query url.Values) any {
	type model struct {
		Type        string `json:"type"`
		ID          string `json:"id"`
		DisplayName string `json:"display_name"`
		CreatedAt   string `json:"created_at"`
		MaxInput    int    `json:"max_input_tokens,omitempty"`
	}
	page := struct {
		Data    []model `json:"data"`
		HasMore bool    `json:"has_more"`
		FirstID string  `json:"first_id"`
		LastID  string  `json:"last_id"`
	}{Data: []model{}}
	from := 1 + slices.IndexFunc(models, func(m listed) bool { return m.id == query.Get("after_id") })
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 {
		limit = defaultPage
	}
	for _, m := range models[from:min(from+limit, len(models))] {
		page.Data = append(page.Data, model{"model", m.id, m.id, "2025-10-01T00:00:00Z", m.context})
	}
	page.HasMore = from+limit < len(models)
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = page.Data[0].ID, page.Data[n-1].ID
	}
	return page
}

// list is a list of the OpenAI format.
func (d *Dialect) list(models []listed) any {
	data := []map[string]any{}
	for _, m := range models {
		entry := map[string]any{"id": m.id, "object": "model", "created": 1_759_276_800, "owned_by": "simulated"}
		if d.Context != "" && m.context > 0 {
			entry[d.Context] = m.context
		}
		data = append(data, entry)
	}
	return map[string]any{"object": "list", "data": data}
}

// Bedrock's lists are those of the service beside its runtime
// (docs.aws.amazon.com/bedrock/latest/APIReference, ListFoundationModels and
// ListInferenceProfiles). A name of a profile has the geography before the maker.
const (
	foundationModels  = "/foundation-models"
	inferenceProfiles = "/inference-profiles"
)

func isBedrockList(r *http.Request) bool {
	return r.URL.Path == foundationModels || r.URL.Path == inferenceProfiles
}

func (u *Upstream) routeBedrockList(w http.ResponseWriter, r *http.Request, rec *Received, _ error) {
	w.Header().Set("X-Amzn-Requestid", newUUID())
	if status, exception, message := u.aws.check(r, rec.Body); status != 0 {
		writeException(w, status, exception, message)
		return
	}
	summaries, profiles := []map[string]string{}, []map[string]string{}
	for _, m := range u.models {
		if strings.HasPrefix(m.id, "anthropic.") {
			summaries = append(summaries, map[string]string{"modelId": m.id, "providerName": "Anthropic"})
		} else {
			profiles = append(profiles, map[string]string{"inferenceProfileId": m.id, "type": "SYSTEM_DEFINED"})
		}
	}
	if r.URL.Path == foundationModels {
		writeJSON(w, http.StatusOK, map[string]any{"modelSummaries": summaries})
	} else {
		writeJSON(w, http.StatusOK, map[string]any{"inferenceProfileSummaries": profiles})
	}
}
