package cli

import (
	"fmt"
	"sync"
)

// inParallel calls do with each number below n, at most so many at the same
// time, and shows how many have ended. It returns when all have.
func inParallel(n, most int, p *progress, what string, do func(i int)) {
	ended := make(chan struct{})
	places := make(chan struct{}, most)
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			places <- struct{}{}
			do(i)
			<-places
			ended <- struct{}{}
		})
	}
	for done := range n {
		p.say(fmt.Sprintf("%s: %d done", what, done))
		<-ended
	}
	work.Wait()
	p.done()
}
