package config

// ParseDocument is Load without a file.
func ParseDocument(data []byte, getenv func(string) string) *Document {
	return parse("f.yaml", data, getenv, false)
}

// Settle is how long a file must be left alone to count as saved.
const Settle = settle
