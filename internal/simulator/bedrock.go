package simulator

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
)

// bedrockRequest is what a path of Bedrock's runtime asks for
// (docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html).
type bedrockRequest struct{ model, operation string }

const (
	invoke       = "invoke"
	invokeStream = "invoke-with-response-stream"
	countTokens  = "count-tokens"
)

// bedrockPath reads /model/ID/OPERATION, in which the id is escaped.
func bedrockPath(r *http.Request) (b bedrockRequest, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/model/")
	i := strings.LastIndexByte(rest, '/')
	if !ok || i < 0 {
		return b, false
	}
	model, err := url.PathUnescape(rest[:i])
	return bedrockRequest{model, rest[i+1:]}, err == nil && !strings.Contains(rest[:i], "/")
}

// ask reads a body that names neither its model nor whether it streams.
func (b bedrockRequest) ask(body []byte) Ask {
	ask := readAsk(body)
	ask.Model, ask.Stream = b.model, b.operation == invokeStream
	return ask
}

// routeBedrock is the answer of Bedrock's runtime to what b asks for.
func (u *Upstream) routeBedrock(b bedrockRequest) func(http.ResponseWriter, *http.Request, *Received, error) {
	return func(w http.ResponseWriter, r *http.Request, rec *Received, bodyErr error) {
		w.Header().Set("X-Amzn-Requestid", newUUID())
		status, exception, message := u.aws.check(r, rec.Body)
		switch {
		case bodyErr != nil:
			writeException(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "Request is too large")
		case status != 0:
			writeException(w, status, exception, message)
		case r.Method != http.MethodPost:
			writeException(w, http.StatusMethodNotAllowed, "UnknownOperationException", "")
		case b.operation == countTokens:
			u.bedrockCount(w, rec.Body)
		case b.operation == invoke || b.operation == invokeStream:
			u.bedrockAnswer(w, r, rec, b)
		default:
			writeException(w, http.StatusNotFound, "UnknownOperationException", "")
		}
	}
}

func (u *Upstream) bedrockAnswer(w http.ResponseWriter, r *http.Request, rec *Received, b bedrockRequest) {
	if problem := checkBedrock(rec.Body); problem != "" {
		writeException(w, http.StatusBadRequest, "ValidationException", problem)
		return
	}
	a, x := u.begun(w, r, rec)
	m := newMessage(a, b.model[strings.LastIndexByte(b.model, '.')+1:], len(rec.Body))
	x.refuse = writeBedrockReply
	x.event = exceptionFrame
	if b.operation == invokeStream {
		x.contentType, x.timetable = "application/vnd.amazon.eventstream", m.frames()
		w.Header().Set("X-Amzn-Bedrock-Content-Type", "application/json")
	} else {
		x.contentType = "application/json"
		x.timetable, x.whole = m.whole()
	}
	x.serve()
}

// checkBedrock tells what the model behind Bedrock would refuse first, "" =
// nothing. It has its own list of fields, and what is not on it is a mistake.
func checkBedrock(body []byte) string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "Malformed input request, please reformat your input and try again."
	}
	if string(fields["anthropic_version"]) != `"bedrock-2023-05-31"` {
		return "anthropic_version: Field required"
	}
	for _, name := range []string{"max_tokens", "messages"} {
		if fields[name] == nil {
			return name + ": Field required"
		}
	}
	for _, name := range []string{"model", "stream", "betas", "container", "inference_geo", "service_tier", "mcp_servers", "speed"} {
		if fields[name] != nil {
			return name + ": Extra inputs are not permitted"
		}
	}
	var betas []string
	_ = json.Unmarshal(fields["anthropic_beta"], &betas)
	for _, beta := range betas {
		if !bedrockBetas[beta] {
			return "invalid beta flag"
		}
	}
	if fields["context_management"] != nil && !strings.Contains(string(fields["anthropic_beta"]), "context-management-") {
		return "context_management: Extra inputs are not permitted"
	}
	return ""
}

// bedrockBetas are those that AWS's page on Claude's messages lists.
var bedrockBetas = map[string]bool{
	"computer-use-2025-01-24": true, "token-efficient-tools-2025-02-19": true, "interleaved-thinking-2025-05-14": true,
	"output-128k-2025-02-19": true, "dev-full-thinking-2025-05-14": true, "context-1m-2025-08-07": true,
	"context-management-2025-06-27": true, "effort-2025-11-24": true, "tool-search-tool-2025-10-19": true, "tool-examples-2025-10-29": true,
}

// bedrockCount counts the tokens of the body inside the body.
func (u *Upstream) bedrockCount(w http.ResponseWriter, body []byte) {
	var ask struct {
		Input struct {
			InvokeModel struct {
				Body []byte `json:"body"`
			} `json:"invokeModel"`
		} `json:"input"`
	}
	if err := json.Unmarshal(body, &ask); err != nil || len(ask.Input.InvokeModel.Body) == 0 {
		writeException(w, http.StatusBadRequest, "ValidationException", "input: Field required")
		return
	}
	if problem := checkBedrock(ask.Input.InvokeModel.Body); problem != "" {
		writeException(w, http.StatusBadRequest, "ValidationException", problem)
		return
	}
	writeJSON(w, http.StatusOK, map[string]int{"inputTokens": len(ask.Input.InvokeModel.Body) / tokenBytes})
}

// frames is the answer as an event stream.
func (m *message) frames() iter.Seq2[Step, []byte] {
	return func(yield func(Step, []byte) bool) {
		for s := range m.answer.Steps() {
			if s.Kind == StepPing {
				continue // Bedrock sends none
			}
			_, data := m.event(s)
			if s.Kind == StepStop {
				u := m.start.Usage
				data = lastChunk{"message_stop", invocationMetrics{u.Input, m.answer.output(), 100, 10, u.CacheRead, u.CacheWrite}}
			}
			if !yield(s, chunkFrame(encode(data))) {
				return
			}
		}
	}
}

type (
	lastChunk struct {
		Type    string            `json:"type"`
		Metrics invocationMetrics `json:"amazon-bedrock-invocationMetrics"`
	}
	invocationMetrics struct {
		Input      int `json:"inputTokenCount"`
		Output     int `json:"outputTokenCount"`
		Latency    int `json:"invocationLatency"`
		FirstByte  int `json:"firstByteLatency"`
		CacheRead  int `json:"cacheReadInputTokenCount"`
		CacheWrite int `json:"cacheWriteInputTokenCount"`
	}
	chunkBody struct {
		Bytes   []byte `json:"bytes"`
		Padding string `json:"p"`
	}
)

// chunkFrame wraps an event. Padding hides its length, as from the real service.
func chunkFrame(data []byte) []byte {
	const padding = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return encodeFrame(encode(chunkBody{data, padding[:1+len(data)%len(padding)]}),
		eventstreamapi.MessageTypeHeader, eventstreamapi.EventMessageType,
		eventstreamapi.EventTypeHeader, "chunk", eventstreamapi.ContentTypeHeader, "application/json")
}

// exceptionFrame ends a stream with what a status stands for.
func exceptionFrame(r Reply) []byte {
	_, exception := exceptionOf(r.Status)
	return encodeFrame(encode(map[string]string{"message": r.Message}),
		eventstreamapi.MessageTypeHeader, eventstreamapi.ExceptionMessageType,
		eventstreamapi.ExceptionTypeHeader, strings.ToLower(exception[:1])+exception[1:], eventstreamapi.ContentTypeHeader, "application/json")
}

// encodeFrame makes a message of headers, names and values in turn, and a payload.
func encodeFrame(payload []byte, headers ...string) []byte {
	m := eventstream.Message{Payload: payload}
	for i := 0; i < len(headers); i += 2 {
		m.Headers.Set(headers[i], eventstream.StringValue(headers[i+1]))
	}
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		panic("simulator: encode frame: " + err.Error())
	}
	return b.Bytes()
}

// exceptionOf gives Bedrock's status and name of what the API's status means.
func exceptionOf(status int) (int, string) {
	switch status {
	case http.StatusBadRequest:
		return status, "ValidationException"
	case http.StatusUnauthorized:
		return http.StatusForbidden, "UnrecognizedClientException"
	case http.StatusForbidden:
		return status, "AccessDeniedException"
	case http.StatusNotFound:
		return status, "ResourceNotFoundException"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return http.StatusRequestTimeout, "ModelTimeoutException"
	case http.StatusFailedDependency:
		return status, "ModelStreamErrorException"
	case http.StatusTooManyRequests:
		return status, "ThrottlingException"
	case http.StatusServiceUnavailable, 529:
		return http.StatusServiceUnavailable, "ServiceUnavailableException"
	default:
		return http.StatusInternalServerError, "InternalServerException"
	}
}

// writeBedrockReply tells a Reply as Bedrock would: a message in its own words
// of the status, everything else as it is.
func writeBedrockReply(w http.ResponseWriter, reply Reply) {
	if reply.Message == "" {
		writeReply(w, reply, "")
		return
	}
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	status, exception := exceptionOf(reply.Status)
	writeException(w, status, exception, reply.Message)
}

func writeException(w http.ResponseWriter, status int, exception, message string) {
	w.Header().Set("X-Amzn-Errortype", exception+":http://internal.amazon.com/coral/com.amazon.bedrock/")
	writeJSON(w, status, map[string]string{"message": message})
}
