//go:build !unix

package ledger

// openFlags: there is no O_NOFOLLOW here, and making a link takes a privilege.
const openFlags = 0

func explain(err error) error { return err }
