//go:build !unix

package cli

func onSuspend(func()) (stop func()) { return func() {} }
