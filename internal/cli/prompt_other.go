//go:build !unix

package cli

func ignoreBackgroundReads() {}
