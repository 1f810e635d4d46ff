// Command anyproxy stands between clients of the Anthropic Messages API and
// several providers of language models.
package main

import (
	"context"
	"os"

	"anyproxy/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
