package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"anyproxy/config"
	"anyproxy/providers"
)

// Get asks the upstream for something beside the way of requests, such as its list
// of models, and returns the whole answer without the credentials that the
// upstream was shown. build makes the request, for the key that is to be shown.
// Every failure is an *providers.Error; where the upstream said why, that is in
// its text.
func (c *Client) Get(ctx context.Context, build func(key config.Secret) (*http.Request, error)) ([]byte, error) {
	x, err := c.Begin(ctx, "")
	if err != nil {
		return nil, err
	}
	req, err := build(x.Key)
	if err != nil {
		return nil, x.Fail(providers.ClassConnect, err)
	}
	res, err := x.over.net.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, x.Fail(providers.ClassConnect, err)
	}
	defer res.Body.Close()
	a := x.Take(res)
	if err := a.Check(); err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusBadRequest {
		e := a.Refused(res.StatusCode)
		said, left := a.ErrorBody(e)
		if left != nil {
			return nil, left
		}
		if text := complaint(said); text != "" {
			e.Err = errors.New(text)
		}
		return nil, e
	}
	body, err := a.ReadWhole()
	if err != nil {
		return nil, err
	}
	whole := slices.Clone(x.Redact(body))
	Recycle(body)
	if len(whole) == 0 {
		return nil, a.Unusable("answer: %w", errors.New("it is empty"))
	}
	return whole, nil
}

// complaint is what the body of an error says, in any of the usual shapes, or its
// beginning; "" = nothing.
func complaint(body []byte) string {
	var said struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  string          `json:"detail"`
	}
	var inside struct {
		Message string `json:"message"`
	}
	var text string
	if err := json.Unmarshal(body, &said); err == nil || said.Error != nil {
		if json.Unmarshal(said.Error, &text) != nil && json.Unmarshal(said.Error, &inside) == nil {
			text = inside.Message
		}
		text = cmp.Or(text, said.Message, said.Detail)
	}
	if text = strings.Join(strings.Fields(text), " "); len(text) > longestComplaint {
		text = strings.ToValidUTF8(text[:longestComplaint], "") + "…"
	}
	if text == "" && len(body) > 0 {
		text = Excerpt(body)
	}
	return text
}

// longestComplaint is how much of one is told, in bytes.
const longestComplaint = 300
