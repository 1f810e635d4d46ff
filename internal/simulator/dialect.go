package simulator

// Dialect is how an upstream of the OpenAI format speaks it. The zero Dialect is
// OpenAI's own; every field is a habit that some other upstream has.
type Dialect struct {
	NoRole      bool // no first chunk with nothing but the role
	EmptyFirst  bool // a chunk without choices, id and model comes first (Azure)
	NoIndex     bool // tool calls are not numbered (Gemini)
	IndexZero   bool // every tool call is number 0 (Ollama)
	NoIDs       bool // tool calls have an empty id
	Repeated    bool // the role, id and name are in every chunk (Groq)
	WholeCalls  bool // a tool call comes in one chunk (Groq, Ollama)
	Interleaved bool // the pieces of parallel calls come by turns
	FinishStop  bool // the finish_reason is stop, also with tool calls (Ollama, Gemini)
	WithFinish  bool // the last text comes with the finish_reason (vLLM)
	Reasoning   bool // thinking is called reasoning (OpenRouter), not reasoning_content
	Parts       bool // content is a list of parts (Mistral)
	NoDone      bool // no [DONE]
	CRLF        bool
	Comments    bool // ": OPENROUTER PROCESSING" before every event
	Usage       UsageHabit
	Errors      ErrorHabit
	// Context is what the list of models calls the size of a context window; ""
	// = it states none (OpenAI).
	Context string
	// Refuse are fields of requests that are answered 400.
	Refuse []string
}

// UsageHabit is where the usage of a stream is told.
type UsageHabit uint8

const (
	UsageLast    UsageHabit = iota // in a chunk of its own, if include_usage asks for it
	UsageFinish                    // with the finish_reason
	UsageRunning                   // in every chunk, the total so far
	UsageGroq                      // under x_groq, with the finish_reason
	UsageNever
)

// ErrorHabit is the shape of errors.
type ErrorHabit uint8

const (
	ErrorObject ErrorHabit = iota // {"error":{"message":…}}
	ErrorString                   // {"error":"…"} (Ollama)
	ErrorArray                    // [{"error":{…}}] (Gemini)
	ErrorTop                      // {"object":"error","message":…} (vLLM)
	ErrorDetail                   // {"detail":"…"} (FastAPI)
)
