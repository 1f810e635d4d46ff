package bedrock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go/auth/bearer"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

const (
	eventStream = "application/vnd.amazon.eventstream"
	jsonType    = "application/json"
)

// invoke has the SDK build and sign the request and sends it itself.
func (c *call) invoke() (*http.Response, error) {
	line := &line{call: c}
	var err error
	switch {
	case c.req.Endpoint == providers.CountTokens:
		_, err = c.session.client.CountTokens(c.ctx, &bedrockruntime.CountTokensInput{
			ModelId: &c.model, Input: &types.CountTokensInputMemberInvokeModel{Value: types.InvokeModelTokensRequest{Body: c.body}},
		}, line.options(&bedrockruntime.CountTokensOutput{}))
	case c.req.Stream:
		_, err = c.session.client.InvokeModelWithResponseStream(c.ctx, &bedrockruntime.InvokeModelWithResponseStreamInput{
			ModelId: &c.model, Body: c.body, ContentType: aws.String(jsonType), Accept: aws.String(jsonType),
		}, line.options(&bedrockruntime.InvokeModelWithResponseStreamOutput{}))
	default:
		_, err = c.session.client.InvokeModel(c.ctx, &bedrockruntime.InvokeModelInput{
			ModelId: &c.model, Body: c.body, ContentType: aws.String(jsonType), Accept: aws.String(jsonType),
		}, line.options(&bedrockruntime.InvokeModelOutput{}))
	}
	switch {
	case line.err != nil:
		return nil, line.err
	case line.res != nil:
		return line.res, nil
	default: // nothing was sent
		return nil, c.Fail(providers.ClassConnect, errors.New(forOperators(fmt.Sprintf("prepare the request: %v", err))))
	}
}

// A line carries one request of the SDK's over our own connections, and keeps
// the answer from the SDK: it would read an event stream in two goroutines of
// its own and allocate for every event.
type line struct {
	*call
	res *http.Response
	err error
}

// options of one operation, whose result stays empty.
func (l *line) options(result any) func(*bedrockruntime.Options) {
	return func(o *bedrockruntime.Options) {
		o.HTTPClient = l
		if l.session.credentials != nil { // what prepare was given: asked again, the source may fail, and unbounded
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return l.signed, nil })
		}
		if l.Key.Reveal() != "" {
			o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: l.Key.Reveal()}}
		}
		o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], func(stack *middleware.Stack) error {
			_, _ = stack.Deserialize.Remove("OperationEventStreamDeserializer") // only one operation has it
			_, err := stack.Deserialize.Swap("OperationDeserializer", unread{result})
			return err
		})
	}
}

// Do sends a request that the SDK has signed. It sends a copy: the SDK closes
// the body of its own as soon as the answer begins, and a server may answer
// before it has read all.
func (l *line) Do(req *http.Request) (*http.Response, error) {
	req = req.WithContext(l.ctx)
	sent := l.body
	if l.req.Endpoint == providers.CountTokens { // which wraps it
		var err error
		if sent, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	upstream.Trace(req.Header, l.call.req.Header)
	for name, value := range l.Headers {
		req.Header[name] = []string{value.Reveal()}
	}
	// Without a value it is not sent: it tells the transport that the request
	// may go out again when a kept-alive connection turns out to be dead.
	req.Header["Idempotency-Key"] = nil
	kept := providers.NewBody(sent, nil)
	defer kept.Release()
	l.res, l.err = l.Exchange.Do(req, kept, [3][]byte{sent})
	return l.res, l.err
}

// unread stands in the place of the SDK's reader of answers.
type unread struct{ result any }

func (unread) ID() string { return "OperationDeserializer" }

func (u unread) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
) {
	out, metadata, err = next.HandleDeserialize(ctx, in)
	if _, ok := out.RawResponse.(*smithyhttp.Response); ok {
		out.Result = u.result
	}
	return out, metadata, err
}

// withoutAWS makes the headers of an answer the API's: clients look for the
// id of a request under another name, and what else AWS says of it is for the
// account's owner.
func withoutAWS(h http.Header) {
	if id := h.Get("X-Amzn-Requestid"); id != "" && h.Get("Request-Id") == "" {
		h.Set("Request-Id", id)
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Amzn-") || strings.HasPrefix(name, "X-Amz-") {
			delete(h, name)
		}
	}
}
