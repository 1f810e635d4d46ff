// Package config is anyproxy's configuration file: its types, defaults,
// loading, checking, comparing and watching. It is offline: a Config is built
// from bytes and an environment that the caller hands in, and nothing here
// opens a socket, runs a command or reads a secret's source.
//
// Every problem of a file is reported at once, as file:line:col: key: reason.
// A secret is never part of a problem, an excerpt, a difference or a printed
// Config.
//
// A Config that Load returned is never changed again and may be shared.
package config

import "time"

// Config is a whole configuration with its defaults filled in. The yaml tags
// are the file's keys; the same keys may stand under a top-level spec:.
type Config struct {
	// Listen is the address to serve on, host:port. The default also takes [::1]:8080.
	Listen       string      `yaml:"listen"`
	TLS          ServerTLS   `yaml:"tls"` // of the listener
	APIKeys      []ClientKey `yaml:"apiKeys"`
	Providers    []Provider  `yaml:"providers"` // a mapping by name in the file; its order is kept
	Models       []Model     `yaml:"models"`
	Routing      Routing     `yaml:"routing"`
	Retry        Retry       `yaml:"retry"`
	Budget       Budget      `yaml:"budget"`
	Alerts       Alerts      `yaml:"alerts"`
	DrainTimeout Duration    `yaml:"drainTimeout"` // how long running requests may take after a signal; default 30s
	AllowedHosts []string    `yaml:"allowedHosts"` // further Host names on a loopback listener
	Log          Log         `yaml:"log"`
	State        State       `yaml:"state"`
}

// ServerTLS has the listener speak https where both files are named.
type ServerTLS struct {
	Cert       string `yaml:"cert"`       // PEM file, the chain behind the certificate
	Key        string `yaml:"key"`        // PEM file
	MinVersion string `yaml:"minVersion"` // "1.2" or "1.3"; default "1.3"
}

// On reports whether the listener speaks https.
func (t ServerTLS) On() bool { return t.Cert != "" }

// Duration is a time.Duration that the file writes with a unit ("5s", "1h").
type Duration = time.Duration

// Size is a number of bytes that the file writes as a number or with a unit ("100MB").
type Size int64

// ClientKey is what a client may present. In the file it is a string or a mapping.
type ClientKey struct {
	Name        string    `yaml:"name"` // default key-1, key-2, … by position
	Key         SecretRef `yaml:"key"`
	Models      []string  `yaml:"models"`      // patterns; none = all
	DailyBudget float64   `yaml:"dailyBudget"` // dollars; 0 = no limit
}

// ProviderType is the wire format of a provider.
type ProviderType string

const (
	Anthropic ProviderType = "anthropic"
	OpenAI    ProviderType = "openai"
	Bedrock   ProviderType = "bedrock"
)

var providerTypes = []ProviderType{Anthropic, OpenAI, Bedrock}

// Auth is how a provider is shown its key.
type Auth string

const (
	AuthAPIKey      Auth = "x-api-key"
	AuthBearer      Auth = "bearer"
	AuthBoth        Auth = "both"
	AuthPassthrough Auth = "passthrough" // the client's own credential, to this host only
	AuthNone        Auth = "none"
)

var auths = []Auth{AuthAPIKey, AuthBearer, AuthBoth, AuthPassthrough, AuthNone}

// Provider is a configured account and endpoint.
type Provider struct {
	Name     string       `yaml:"-"` // its key in the mapping: [A-Za-z0-9._-]{1,64}
	Type     ProviderType `yaml:"type"`
	Endpoint string       `yaml:"endpoint"` // as written; URLs are built by providers
	APIKey   SecretRef    `yaml:"apiKey"`
	// Auth is filled in but where something else decides, and "" then: the value
	// of an Anthropic key (x-api-key, or bearer with the oauth beta for
	// sk-ant-oat…), AWS credentials for bedrock without an apiKey.
	Auth       Auth   `yaml:"auth"`
	APIVersion string `yaml:"apiVersion"`
	Region     string `yaml:"region"` // bedrock: AWS_REGION, else AWS_DEFAULT_REGION where the file has none; "" = the profile's
	Profile    string `yaml:"profile"`
	RoleARN    string `yaml:"roleArn"`
	// Headers are added to every request to this provider; their values are
	// secret. A value env.NAME has been read from the environment already.
	Headers       map[string]Secret `yaml:"headers"`
	HTTP2         bool              `yaml:"http2"`
	Timeouts      Timeouts          `yaml:"timeouts"`
	MaxConcurrent int               `yaml:"maxConcurrent"` // beyond it others are asked first; 0 = any number
	DailyBudget   float64           `yaml:"dailyBudget"`   // dollars; 0 = no limit
	// Billing is filled in but for a provider that passes the client's credential
	// through: then that decides, a login of Claude's or a key.
	Billing Billing `yaml:"billing"`
	TLS     TLS     `yaml:"tls"`
	Pos     Pos     `yaml:"-"` // where it stands in the file
}

// Billing says what a provider's tokens cost.
type Billing string

const (
	BillingTokens       Billing = "tokens"
	BillingSubscription Billing = "subscription" // nothing per token
)

var billings = []Billing{BillingTokens, BillingSubscription}

// Timeouts of one attempt. Zero never stands here after Load: defaults are filled in.
type Timeouts struct {
	Connect   Duration `yaml:"connect"`   // TCP; default 3s (TLS handshake: 5s, fixed)
	FirstByte Duration `yaml:"firstByte"` // until the response headers of a stream; default 60s
	Idle      Duration `yaml:"idle"`      // silence of the connection afterwards; default 60s, 300s for openai
	Total     Duration `yaml:"total"`     // a whole non-stream attempt; default 10m
}

// TLS of the connections to a provider.
type TLS struct {
	MinVersion string   `yaml:"minVersion"` // "1.2" or "1.3"; default "1.3"
	Pins       []string `yaml:"pins"`       // sha256/BASE64, at least 2
	CA         string   `yaml:"ca"`         // PEM file, beside the system's roots
}

// Model is one entry of models: a target behind one or more names.
type Model struct {
	Name         string       `yaml:"name"`  // the upstream's name; "" = the asked model goes upstream unchanged
	Alias        StringList   `yaml:"alias"` // patterns that clients may ask for; * is the only special character
	Provider     string       `yaml:"provider"`
	Weight       float64      `yaml:"weight"`    // ≥ 0; 0 or absent counts as 1, and stands as 1 after Load
	Tier         int          `yaml:"tier"`      // ≥ 1; default 1
	Context      int          `yaml:"context"`   // tokens; 0 = unknown
	MaxOutput    int          `yaml:"maxOutput"` // tokens; 0 = unknown
	Thinking     *bool        `yaml:"thinking"`  // anthropic-proxy's key; the same as capabilities.thinking
	Price        *Price       `yaml:"price"`
	Capabilities Capabilities `yaml:"capabilities"`
	Pos          Pos          `yaml:"-"`
}

// StringList is a string or a list of strings in the file.
type StringList []string

// Price in dollars per million tokens.
type Price struct {
	Input      float64 `yaml:"input"`
	Output     float64 `yaml:"output"`
	CacheRead  float64 `yaml:"cacheRead"`
	CacheWrite float64 `yaml:"cacheWrite"` // for five minutes
	// CacheWrite1h is what it costs to keep something for an hour. What is not
	// given of the three is derived from Input: for anthropic and bedrock 0.1, 1.25
	// and 2 times that, as Anthropic does, else the same.
	CacheWrite1h float64 `yaml:"cacheWrite1h"`
}

// Capabilities that a target is configured to have or not; nil = not said, so assumed.
type Capabilities struct {
	Images   *bool `yaml:"images"`
	PDF      *bool `yaml:"pdf"`
	Thinking *bool `yaml:"thinking"`
	Tools    *bool `yaml:"tools"`
}

// Policy is how candidates of a tier are ordered.
type Policy string

const (
	PolicyWeighted Policy = "weighted" // weighted random by weight × measured speed
	PolicyPriority Policy = "priority" // strictly by weight
)

var policies = []Policy{PolicyWeighted, PolicyPriority}

// Prefer trades speed against price.
type Prefer string

const (
	PreferSpeed    Prefer = "speed"
	PreferBalanced Prefer = "balanced"
	PreferCost     Prefer = "cost"
)

var preferences = []Prefer{PreferSpeed, PreferBalanced, PreferCost}

// Routing is how a provider is chosen.
type Routing struct {
	Policy       Policy   `yaml:"policy"`       // default weighted
	Prefer       Prefer   `yaml:"prefer"`       // default speed
	TPSThreshold float64  `yaml:"tpsThreshold"` // tokens/s; 0 = off; default 0, 40 under policy priority
	Affinity     Duration `yaml:"affinity"`     // default 1h
	Switchback   Duration `yaml:"switchback"`   // default 5m
	Deadline     Duration `yaml:"deadline"`     // of a whole request before it is committed; default 10m
}

// Retry is what happens on failure. Falling over to another provider needs no
// configuration and no delay.
type Retry struct {
	RetrySameProvider bool     `yaml:"retrySameProvider"` // default false
	MaxRetries        int      `yaml:"maxRetries"`        // default 3
	InitialDelay      Duration `yaml:"initialDelay"`      // default 100ms
	MaxDelay          Duration `yaml:"maxDelay"`          // default 5s
	BackoffMultiplier float64  `yaml:"backoffMultiplier"` // ≥ 1; default 2
	Cooldown          Duration `yaml:"cooldown"`          // first pause of a failing upstream that names none; default 5s
	MaxRetryAfter     Duration `yaml:"maxRetryAfter"`     // longest pause an upstream may ask for; default 1h
}

// Budget limits the day's spend, in dollars.
type Budget struct {
	Daily      float64    `yaml:"daily"`      // 0 = no limit
	AlertAt    float64    `yaml:"alertAt"`    // percent; default 80
	OnExceeded OnExceeded `yaml:"onExceeded"` // default block
}

// OnExceeded says what a spent budget does.
type OnExceeded string

const (
	BudgetBlock OnExceeded = "block"
	BudgetWarn  OnExceeded = "warn"
)

var exceedings = []OnExceeded{BudgetBlock, BudgetWarn}

// Alerts go to a webhook.
type Alerts struct {
	Webhook      SecretRef `yaml:"webhook"`
	FallbackRate float64   `yaml:"fallbackRate"` // share of requests, 0–1; 0 = off
	P95Latency   Duration  `yaml:"p95Latency"`   // 0 = off
}

// Bodies says which bodies the request log keeps.
type Bodies string

const (
	BodiesAll    Bodies = "all"
	BodiesErrors Bodies = "errors"
	BodiesNone   Bodies = "none"
)

var bodies = []Bodies{BodiesAll, BodiesErrors, BodiesNone}

// Log is the request log, JSON Lines.
type Log struct {
	File    string `yaml:"file"`    // "" = none
	Bodies  Bodies `yaml:"bodies"`  // default all
	MaxSize Size   `yaml:"maxSize"` // a file is rotated at this size; default 100MB
	Keep    int    `yaml:"keep"`    // rotated files kept; default 5
}

// State is what outlives a restart.
type State struct {
	Path     string `yaml:"path"`     // "" = $XDG_STATE_HOME/anyproxy; "none" keeps nothing
	KeepDays int    `yaml:"keepDays"` // day files of the ledger; default 30
}

// Pos is a place in the file, 1-based; the zero Pos is no place.
type Pos struct{ Line, Col int }
