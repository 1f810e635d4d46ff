package anthropic

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/listing"
)

func TestModelsPageByPage(t *testing.T) {
	var asked []string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		if r.Header.Get("X-Api-Key") != testKey || r.Header.Get("Anthropic-Version") == "" || r.Header.Get("X-Tenant") != "t-1" {
			t.Errorf("header %v", r.Header)
		}
		after := r.URL.Query().Get("after_id")
		fmt.Fprintf(w, `{"data":[{"id":"m%s","max_input_tokens":7,"key":%q}],"has_more":%v,"last_id":"m%s"}`, after, testKey, after != "mm", after)
	}))
	t.Cleanup(up.Close)
	list, err := newProvider(t, config.Provider{Endpoint: up.URL + "/v1/", Headers: map[string]config.Secret{"x-tenant": config.NewSecret("t-1")}}, testKey).Models(t.Context())
	if want := []listing.Model{{ID: "m", Context: 7}, {ID: "mm", Context: 7}, {ID: "mmm", Context: 7}}; err != nil || !reflect.DeepEqual(want[:len(list.Models)], list.Models) || len(list.Models) != 3 {
		t.Errorf("got %+v, %v", list.Models, err)
	}
	if want := []string{"GET /v1/models?limit=1000", "GET /v1/models?after_id=m&limit=1000", "GET /v1/models?after_id=mm&limit=1000"}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q", asked)
	}
	if len(list.Payloads) != 3 || strings.Contains(string(list.Payloads[0]), testKey) {
		t.Errorf("payloads %s", list.Payloads)
	}
}

func TestModelsThatNeverEnd(t *testing.T) {
	for name, last := range map[string]func(n int) string{"the same name": func(int) string { return "m" }, "another name": func(n int) string { return fmt.Sprint("m", n) }} {
		n := 0
		p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			n++
			fmt.Fprintf(w, `{"data":[{"id":"m"}],"has_more":true,"last_id":%q}`, last(n))
		})
		if list, err := p.Models(t.Context()); err != nil || n > mostPages || len(list.Models) != n {
			t.Errorf("%s: asked %d times, %d models, %v", name, n, len(list.Models), err)
		}
	}
}

func TestModelsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		class  providers.Class
		want   string
	}{
		"a wrong key":       {401, `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key ` + testKey + `"}}`, providers.ClassCredential, "(status 401): invalid x-api-key ••••••"},
		"another shape":     {404, `{"detail":"Not Found"}`, providers.ClassInvalid, "(status 404): Not Found"},
		"a text":            {403, `{"error":"no such right"}`, providers.ClassCredential, "(status 403): no such right"},
		"AWS's":             {403, `{"Message":"User is not authorized"}`, providers.ClassCredential, "(status 403): User is not authorized"},
		"HTML":              {502, "<html>\n<b>Bad Gateway", providers.ClassServer, `(status 502): "<html> <b>Bad Gateway"`},
		"a long one":        {500, `{"message":"` + strings.Repeat("no", 1000) + `"}`, providers.ClassServer, "nono…"},
		"nothing":           {429, "", providers.ClassRateLimited, "rate_limited (status 429)"},
		"an empty list":     {200, "", providers.ClassBadResponse, "it is empty"},
		"a redirect":        {302, "", providers.ClassBadResponse, "redirect"},
		"something unknown": {200, "<html>", 0, listing.ErrShape.Error()},
	} {
		p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		_, err := p.Models(t.Context())
		var e *providers.Error
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 || strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: got %v", name, err)
		}
		if errors.As(err, &e) != (c.want != listing.ErrShape.Error()) || e != nil && e.Class != c.class {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}
