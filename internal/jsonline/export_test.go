package jsonline

// AppendWithoutVectors is AppendText as on machines that lack them.
func AppendWithoutVectors(b, text []byte) []byte { return appendText(b, text, false) }
