package bedrock

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers/upstream"
)

// counted makes of Bedrock's count of tokens the API's.
func counted(res *http.Response) {
	body, err := io.ReadAll(io.LimitReader(res.Body, upstream.MaxErrorBody))
	n, ok := jsonscan.Int(member(body, "inputTokens"))
	if err != nil || !ok {
		res.Body = &reread{io.MultiReader(bytes.NewReader(body), res.Body), res.Body}
		return
	}
	text := `{"input_tokens":` + strconv.FormatInt(n, 10) + `}`
	res.ContentLength = int64(len(text))
	res.Body = &reread{strings.NewReader(text), res.Body}
}

// uncounted reports whether a refusal is about the counting of tokens: Bedrock
// counts them for some models, and accounts need a permission of their own for it
// (docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html).
func uncounted(said string) bool {
	return strings.Contains(said, "counting tokens") || strings.Contains(said, "bedrock:CountTokens")
}
