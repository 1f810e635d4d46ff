package upstream

import (
	"testing"

	"anyproxy/config"
)

func TestBuffersFitWhatIsSpoken(t *testing.T) {
	for endpoint, want := range map[string]int{
		"":                        tlsWriteBuffer, // AWS's own
		"https://api.example.com": tlsWriteBuffer,
		"http://127.0.0.1:1":      PlainWriteBuffer,
	} {
		tr, err := newTransport(config.Provider{Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		if tr.WriteBufferSize != want {
			t.Errorf("endpoint %q: buffer of %d, want %d", endpoint, tr.WriteBufferSize, want)
		}
	}
}
