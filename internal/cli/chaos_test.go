package cli

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

var (
	chaosFor  = flag.Duration("chaos", 0, "let 200 clients loose on three failing upstreams for this `duration`")
	chaosSeed = flag.Uint64("chaos-seed", 0, "the `seed` of all that is drawn; 0 = a random one")
)

// chaos is three upstreams of which one is well at every moment.
//
// Time is cut into epochs: in each, a or b is well, at times c as well, and the
// others fail, at random or all requests alike. A request belongs to the epoch
// in which its client sent it, so that all of its attempts find the same
// upstream well: periods of health overlap for as long as any request lasts.
// Only c hangs, and only c has short limits on silence. Now and then its network
// is cut, without a word to anybody: what runs there stays silent for ever, what
// is in the pool is dead, and there are no new connections for a while. A machine that is busy
// elsewhere could make it miss them, so it is never the only one that is well.
// Hence no error before content can be the schedule's doing, at any speed.
type chaos struct {
	seed   uint64
	epoch  atomic.Int64
	asked  [3]atomic.Int64
	failed [3]atomic.Int64 // the answers that went wrong on purpose
	turns  []atomic.Int64  // by client, the last turn that an upstream was asked for, counted from 1
}

const (
	// epochTime is how long one lasts, on average.
	epochTime = 120 * time.Millisecond
	// hangTime is every limit on c's silence, longTime on that of the others.
	hangTime = time.Second
	longTime = time.Minute
	// cutEvery is how often the network of c is cut, for cutTime.
	cutEvery, cutTime = 800 * time.Millisecond, 150 * time.Millisecond
)

// draw is a source of chance that depends on the seed and the given words only.
func (c *chaos) draw(words ...int64) *rand.Rand {
	mixed := c.seed
	for _, w := range words {
		mixed = (mixed ^ uint64(w)) * 0x9e3779b97f4a7c15
		mixed ^= mixed >> 29
	}
	return rand.New(rand.NewPCG(mixed, c.seed))
}

// well reports whether an upstream answers as it should in an epoch.
func (c *chaos) well(upstream, epoch int64) bool {
	r := c.draw(epoch)
	one, second := r.Int64N(2), r.IntN(2) == 0
	return upstream == one || upstream == 2 && second
}

// rotate moves on from epoch to epoch until ctx ends.
func (c *chaos) rotate(ctx context.Context) {
	for epoch := int64(0); ctx.Err() == nil; epoch++ {
		c.epoch.Store(epoch)
		select {
		case <-ctx.Done():
		case <-time.After(epochTime/2 + time.Duration(c.draw(epoch, -2).Int64N(int64(epochTime)))):
		}
	}
}

// cutting cuts the cable now and then until ctx ends, and leaves it whole.
func cutting(ctx context.Context, w *cable) {
	tick := time.NewTicker(cutEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.sever()
		select {
		case <-ctx.Done():
		case <-time.After(cutTime):
		}
		w.mend()
	}
}

// weighted is a fault and how often it is drawn.
type weighted struct {
	weight int
	faults []simulator.Fault
}

// harmless faults leave an answer whole; a well upstream may have them, too.
var harmless = []weighted{
	{3, []simulator.Fault{{Kind: simulator.Gzip}}},
	{1, []simulator.Fault{{Kind: simulator.Drip}}},
	{3, []simulator.Fault{{Kind: simulator.HTTP10}}},
	{3, []simulator.Fault{{Kind: simulator.DuplicateStart, At: simulator.Events(1)}}},
	{1, []simulator.Fault{{Kind: simulator.Gzip}, {Kind: simulator.HTTP10}}},
}

// harmful faults are of every kind and at every stage: early before the first
// content of a stream, late behind it.
func harmful() []weighted {
	one := func(weight int, f simulator.Fault) weighted { return weighted{weight, []simulator.Fault{f}} }
	list := []weighted{
		one(8, simulator.RateLimited(0)), one(4, simulator.RateLimited(3*time.Second)), one(8, simulator.Overloaded()),
		one(6, simulator.ServerError()), one(4, simulator.Status(502, "Bad gateway")), one(4, simulator.Status(503, "Unavailable")),
		one(2, simulator.Status(504, "Timed out")), one(2, simulator.Status(408, "Too slow")),
		one(1, simulator.Unauthorized()), one(1, simulator.Status(402, "Pay first")), one(1, simulator.Status(403, "Not you")),
		one(3, simulator.HTML(502)), one(3, simulator.HTML(200)), one(3, simulator.Empty()), one(3, simulator.Redirect("http://127.0.0.1:1/")),
		one(3, simulator.Fault{Kind: simulator.WrongType}), one(2, simulator.Fault{Kind: simulator.BigHeader}),
		one(4, simulator.Fault{Kind: simulator.ClosedDelta}),
		{1, []simulator.Fault{{Kind: simulator.Gzip}, {Kind: simulator.Break, At: simulator.Deltas(3)}}},
		{1, []simulator.Fault{{Kind: simulator.HTTP10}, {Kind: simulator.Cut, At: simulator.Deltas(3)}}},
		{1, []simulator.Fault{{Kind: simulator.Drip}, {Kind: simulator.Reset, At: simulator.Deltas(2)}}},
		{1, []simulator.Fault{{Kind: simulator.DuplicateStart, At: simulator.Events(1)}, {Kind: simulator.Break, At: simulator.Events(3)}}},
	}
	for _, at := range []simulator.Point{
		simulator.BeforeHeaders, simulator.Events(0), simulator.Events(1), simulator.Events(2), simulator.Events(3), simulator.Bytes(70),
		simulator.Deltas(1), simulator.Deltas(3), simulator.Bytes(1500),
	} {
		for _, kind := range []simulator.FaultKind{simulator.Reset, simulator.Break, simulator.Cut, simulator.Garbage} {
			list = append(list, one(1, simulator.Fault{Kind: kind, At: at}))
		}
		list = append(list, one(1, simulator.ErrorAt(at, 529, "Overloaded")), one(1, simulator.ErrorAt(at, 500, "Internal server error")))
	}
	return list
}

var hangs = []simulator.Fault{
	{Kind: simulator.Hang}, {Kind: simulator.Hang, At: simulator.Events(0)}, {Kind: simulator.Hang, At: simulator.Events(1)},
	{Kind: simulator.Hang, At: simulator.Events(3)}, {Kind: simulator.Hang, At: simulator.Bytes(70)}, {Kind: simulator.Hang, At: simulator.Deltas(2)},
}

func pick(r *rand.Rand, list []weighted) []simulator.Fault {
	total := 0
	for _, w := range list {
		total += w.weight
	}
	n := r.IntN(total)
	for _, w := range list {
		if n -= w.weight; n < 0 {
			return w.faults
		}
	}
	return nil
}

// script is the fortune of one upstream.
func (c *chaos) script(me int64) simulator.Script {
	harmful := harmful()
	return func(n int, r *simulator.Received) simulator.Answer {
		var epoch, client, turn int64
		text := r.Ask().Text
		_, _ = fmt.Sscanf(text, textFormat, &epoch, &client, &turn)
		c.asked[me].Add(1)
		c.turns[client].Store(turn + 1)
		answer := told(providerName(me), text)
		chance, mood := c.draw(epoch, me, int64(n)), c.draw(epoch, me)
		scripted := pick(mood, harmful)
		switch x := chance.IntN(100); {
		case c.well(me, epoch) && x < 90, x < 5:
			return answer
		case c.well(me, epoch), x < 10:
			answer.Faults = pick(chance, harmless)
			return answer
		case me == 2 && x < 15:
			answer.Faults = hangs[chance.IntN(len(hangs)):][:1]
		case mood.IntN(3) == 0: // by script: the whole epoch long
			answer.Faults = scripted
		default:
			answer.Faults = pick(chance, harmful)
		}
		c.failed[me].Add(1)
		return answer
	}
}

// textFormat is what a client says: the epoch, itself and its turn.
const textFormat = "epoch %d client %d turn %d"

func providerName(i int64) string { return string(rune('a' + i)) }

// told is what an upstream answers to a text: both sides know it, so that no
// piece of another answer can go unnoticed.
func told(provider, text string) simulator.Answer {
	said := strings.Repeat(fmt.Sprintf("%s was told %q. ", provider, text), 6)
	a := simulator.Answer{Rate: 4000, DeltaTokens: 8, TTFT: time.Duration(len(text)%7) * time.Millisecond}
	switch len(text) % 3 {
	case 0:
		a.Blocks = []simulator.Block{simulator.Thinking("Thinking: " + said), simulator.Text(said)}
	case 1:
		a.Blocks = []simulator.Block{simulator.Text(said), {Kind: simulator.ToolBlock, Name: "Bash", Input: fmt.Sprintf(`{"command":%q}`, text), Pieces: 4}}
	default:
		a.Blocks = []simulator.Block{simulator.Text(said)}
	}
	return a
}

// agrees compares a message with the answer that its provider was to give; one
// that was broken off must be its beginning.
func agrees(m *grammar.Message, want simulator.Answer) error {
	if m.End == grammar.Complete && len(m.Blocks) != len(want.Blocks) || len(m.Blocks) > len(want.Blocks) {
		return fmt.Errorf("%d blocks, want %d", len(m.Blocks), len(want.Blocks))
	}
	for i, got := range m.Blocks {
		text, whole := want.Blocks[i].Text, want.Blocks[i]
		switch {
		case whole.Kind == simulator.ToolBlock && got.Whole && string(got.Input) != whole.Input:
			return fmt.Errorf("block %d: input %s, want %s", i, got.Input, whole.Input)
		case whole.Kind == simulator.ToolBlock:
		case !strings.HasPrefix(text, got.Text), got.Whole && got.Text != text:
			return fmt.Errorf("block %d: %q, want %q", i, got.Text, text)
		}
	}
	return nil
}

// tally is what became of the requests.
type tally struct {
	whole, told, left, turnedAway atomic.Int64
	fallbacks                     atomic.Int64 // of whole answers, attempts beyond the first
	mu                            sync.Mutex
	wrong                         []string
	wrongs                        map[string]int
}

func (y *tally) fault(kind, format string, args ...any) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.wrongs == nil {
		y.wrongs = map[string]int{}
	}
	y.wrongs[kind]++
	if len(y.wrong) < 10 {
		y.wrong = append(y.wrong, kind+": "+fmt.Sprintf(format, args...))
	}
}

func (y *tally) String() string {
	return fmt.Sprintf("%d whole after %d fallbacks, %d failures told after content, %d clients left, %d turned away at the end",
		y.whole.Load(), y.fallbacks.Load(), y.told.Load(), y.left.Load(), y.turnedAway.Load())
}

// crowd is the clients.
type crowd struct {
	*chaos
	tally
	base     string
	http     *http.Client
	size     int
	pause    time.Duration // the longest between two requests of a client
	stopping atomic.Bool   // the program has been told to end
}

// run keeps every client busy until ctx ends; requests that run are not broken off.
func (c *crowd) run(ctx context.Context) {
	var clients sync.WaitGroup
	for i := range c.size {
		clients.Go(func() {
			chance := c.draw(-1, int64(i))
			for turn := 0; ctx.Err() == nil && c.turn(i, turn, chance); turn++ {
				time.Sleep(time.Duration(chance.Int64N(int64(30 * time.Millisecond))))
			}
		})
	}
	clients.Wait()
}

// chaosModels is how many models are asked for. Each has a breaker of its own
// at each upstream, and its pauses grow with the failures.
const chaosModels = 60

// turn makes one request. It is false when the program takes none any more.
func (c *crowd) turn(client, turn int, chance *rand.Rand) bool {
	text := fmt.Sprintf(textFormat, c.epoch.Load(), client, turn)
	stream := chance.IntN(4) > 0
	body := fmt.Sprintf(`{"model":"claude-%d","max_tokens":1000,"stream":%v,"messages":[{"role":"user","content":%q}]}`,
		chance.IntN(chaosModels), stream, text)
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	staying := chance.IntN(12) > 0
	if !staying && chance.IntN(2) == 0 {
		time.AfterFunc(time.Duration(chance.Int64N(int64(20*time.Millisecond))), leave)
	}
	r, err := http.NewRequestWithContext(ctx, "POST", c.base+"/v1/messages?beta=true", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("X-Claude-Code-Session-Id", fmt.Sprintf("session-%d", client))
	stopping := c.stopping.Load()
	res, err := c.http.Do(r)
	switch {
	case err != nil && ctx.Err() != nil:
		c.left.Add(1)
		return true
	case err != nil && c.turns[client].Load() != int64(turn)+1 && c.stopping.Load():
		c.turnedAway.Add(1) // it takes no more, nor reads what has just been sent
		return !stopping
	case err != nil:
		c.fault("no answer", "%v", err)
		return true
	}
	defer res.Body.Close()
	var answer []byte
	if staying {
		answer, err = io.ReadAll(res.Body)
	} else {
		answer, err = io.ReadAll(io.LimitReader(res.Body, 1+chance.Int64N(4000)))
		leave()
	}
	c.judge(res, answer, err, text, stream, staying)
	return true
}

// judge says what an answer was.
func (c *crowd) judge(res *http.Response, answer []byte, err error, text string, stream, staying bool) {
	provider := res.Header.Get("X-Anyproxy-Provider")
	switch {
	case res.StatusCode != http.StatusOK:
		c.fault("error before content", "%s: %d %v %.300s", text, res.StatusCode, res.Header, answer)
	case !staying && stream:
		if i := bytes.LastIndex(answer, []byte("\n\n")); i >= 0 {
			answer = answer[:i+2]
		} else {
			answer = nil
		}
		m, err := grammar.CheckPrefix(answer)
		if err == nil {
			err = agrees(m, told(provider, text))
		}
		if err != nil {
			c.fault("corrupt", "%s, of a client that left: %v\n%s", text, err, answer)
		}
		c.left.Add(1)
	case !staying:
		c.left.Add(1)
	case err != nil:
		c.fault("broken off", "%s, stream %v: %v\n%s", text, stream, err, answer)
	default:
		c.judgeWhole(res, answer, text, stream)
	}
}

func (c *crowd) judgeWhole(res *http.Response, answer []byte, text string, stream bool) {
	m, err := check(stream, answer)
	if err == nil {
		err = agrees(m, told(res.Header.Get("X-Anyproxy-Provider"), text))
	}
	switch {
	case err != nil:
		c.fault("corrupt", "%s, stream %v: %v\n%s", text, stream, err, answer)
	case m.End == grammar.Complete:
		c.whole.Add(1)
		var attempts int64
		_, _ = fmt.Sscan(res.Header.Get("X-Anyproxy-Attempts"), &attempts)
		c.fallbacks.Add(attempts - 1)
	case !slices.ContainsFunc(m.Blocks, func(b grammar.Block) bool { return b.Text != "" || b.Type == "tool_use" }):
		c.fault("error before content", "%s: %s", text, answer)
	default:
		c.told.Add(1)
	}
}

// TestChaos lets clients loose on failing upstreams, twice: after each time the
// memory must be back where it was, and the program is ended in the third. In
// all of it no answer may be corrupt and no error be seen before content.
func TestChaos(t *testing.T) { testChaos(t, false) }

// TestChaosOfAllFormats has an upstream of each format, one with an OAuth token
// and one with AWS credentials that end every two seconds, and a configuration
// that is applied anew all the time.
func TestChaosOfAllFormats(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	testChaos(t, true)
}

// shortLives gives out OAuth tokens and AWS credentials that end soon.
func shortLives(t *testing.T) (tokens string, end func()) {
	const life = 2 * time.Second
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/token" {
			fmt.Fprintf(w, `{"access_token":"access-token-%d","token_type":"Bearer","expires_in":%d}`, n.Add(1), int(life.Seconds()))
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`, awsKeyID, awsSecret, awsToken, time.Now().Add(life).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", s.URL+"/aws")
	return s.URL + "/token", s.Close
}

func testChaos(t *testing.T, mixed bool) {
	load, clients, pause := 3*time.Second, 40, 30*time.Millisecond
	if *chaosFor > 0 {
		load, clients, pause = *chaosFor, 200, 150*time.Millisecond
	}
	world := &chaos{seed: cmp.Or(*chaosSeed, rand.Uint64()), turns: make([]atomic.Int64, clients)}
	var ups []*simulator.Upstream
	for i := range int64(3) {
		o := simulator.Options{Script: world.script(i), Keep: -1}
		switch {
		case mixed && i == 1:
			o.OpenAI = &simulator.Dialect{}
		case mixed && i == 2:
			o.AWS = awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken})
		}
		u, err := simulator.Start(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(u.Close)
		ups = append(ups, u)
	}
	tokens, end := "", func() {}
	if mixed {
		tokens, end = shortLives(t)
	}
	cable, behind := newCable(t, ups[2].URL())
	quietly, file := map[string]string{"LOG_LEVEL": "ERROR"}, chaosConfig(t, []string{ups[0].URL(), ups[1].URL(), behind}, tokens)
	args := []string{"-config", file}
	if mixed {
		args = append(args, "-watch", "-yes")
	}
	start(t, quietly, args...).end(t) // the first one starts what stays for the life of the process
	before := restOf(t)

	p := start(t, quietly, args...)
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	t.Cleanup(transport.CloseIdleConnections)
	c := &crowd{chaos: world, base: p.base, http: &http.Client{Transport: transport}, size: clients, pause: pause}
	ctx, stop := context.WithCancel(context.Background())
	rotated := make(chan struct{})
	go func() { defer close(rotated); world.rotate(ctx) }()
	cut := make(chan struct{})
	go func() { defer close(cut); cutting(ctx, cable) }()
	reloading := make(chan struct{})
	go func() {
		defer close(reloading)
		for n := 0; mixed && ctx.Err() == nil; n++ {
			edit(t, file, fmt.Sprintf("weight: %d0}", 1+n%2), fmt.Sprintf("weight: %d0}", 1+(n+1)%2))
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()

	c.during(load / 6)
	first := c.quiet(t, ups)
	c.during(load * 4 / 6)
	second := c.quiet(t, ups)
	time.AfterFunc(load/6, func() {
		c.stopping.Store(true)
		p.stop() // as a SIGTERM would
	})
	c.run(context.Background()) // until all are turned away
	code := p.end(t)
	stop()
	<-rotated
	<-reloading
	<-cut
	cable.close() // of those that died nobody has closed its end
	end()         // its connections would be kept for a while
	transport.CloseIdleConnections()

	t.Logf("seed %d, %d clients, %d epochs: %v", world.seed, clients, world.epoch.Load()+1, &c.tally)
	for i := range ups {
		t.Logf("upstream %s was asked %d times and failed %d", providerName(int64(i)), world.asked[i].Load(), world.failed[i].Load())
	}
	t.Logf("the network of c was cut on %d connections", cable.died)
	t.Logf("heap at rest: %d KiB, then %d KiB", first>>10, second>>10)
	for _, kind := range slices.Sorted(maps.Keys(c.wrongs)) {
		t.Errorf("%s: %d times", kind, c.wrongs[kind])
	}
	for _, w := range c.wrong {
		t.Error(w)
	}
	if code != 0 || p.errw.String() != "" {
		t.Errorf("exit code %d: %.2000s", code, p.errw.String())
	}
	if c.whole.Load() == 0 || c.fallbacks.Load() == 0 || cable.died == 0 {
		t.Error("nothing was put to the test")
	}
	// What is bounded (rings, meters, pools of connections) may still have been
	// filling up in the first, short load.
	if grown := int64(second) - int64(first); grown > 8<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	before.await(t)
}

// chaosConfig has an upstream of each format where tokens, a token endpoint, is
// given.
func chaosConfig(t *testing.T, endpoints []string, tokens string) string {
	var providers, models strings.Builder
	for i, endpoint := range endpoints {
		name := providerName(int64(i))
		limit := longTime
		if i == 2 {
			limit = hangTime
		}
		format := "apiKey: upstream-key-of-" + name
		switch {
		case tokens != "" && i == 0:
			format = fmt.Sprintf("auth: bearer, apiKey: {oauth: {tokenUrl: %q, clientId: c, refreshToken: a-refresh-token}}", tokens)
		case tokens != "" && i == 1:
			format = "type: openai, apiKey: upstream-key-of-b"
		case tokens != "" && i == 2:
			format = "type: bedrock, region: us-west-2"
		}
		fmt.Fprintf(&providers, "  %s: {endpoint: %q, %[4]s, timeouts: {connect: %[3]s, firstByte: %[3]s, idle: %[3]s, total: %[3]s}}\n", name, endpoint, limit, format)
		fmt.Fprintf(&models, "  - {alias: \"claude-*\", provider: %s, weight: %d0}\n", name, i+1)
	}
	// Short pauses, so that those who fail keep being asked. However long a pause
	// grows, a request that nobody else has answered is not kept waiting for it,
	// as no stated one exceeds a minute.
	return writeFile(t, "config.yaml", "providers:\n"+providers.String()+"models:\n"+models.String()+
		"retry: {cooldown: 1ms, maxRetryAfter: 50ms}\n")
}

// during runs the clients for d.
func (c *crowd) during(d time.Duration) {
	ctx, stop := context.WithTimeout(context.Background(), d)
	defer stop()
	c.run(ctx)
}

// quiet waits until no upstream answers any more, and tells what the heap holds.
func (c *crowd) quiet(t *testing.T, ups []*simulator.Upstream) uint64 {
	t.Helper()
	eventually(t, "the upstreams to be left alone", func() bool {
		return !slices.ContainsFunc(ups, func(u *simulator.Upstream) bool { return u.Active() > 0 })
	})
	c.http.CloseIdleConnections()
	var m runtime.MemStats
	for range 3 { // pools are emptied by the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
