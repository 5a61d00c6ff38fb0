// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"sync"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// looks lets deletes that are due together share one look at the Node, which each of them needs. The zero value is ready to
// use.
//
// A delete is sent when its answer has come, whoever asked. What it must not have is the answer to a question that was put
// before its pod was seen to be Failed: a shutdown that cost the pod its life may be younger.
type looks struct {
	mu sync.Mutex
	// begun counts the looks that ever began.
	begun int
	// current is the youngest one that has no answer yet, nil if there is none.
	current *look
}

type look struct {
	number   int
	answered chan struct{}
	node     recovery.Node
	err      error
}

// count returns how many looks have begun.
func (l *looks) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.begun
}

// after returns the answer of the look that is under way, if it began when there were at least so many before it; else that
// of a new one. read must not panic.
func (l *looks) after(count int, read func() (recovery.Node, error)) (recovery.Node, error) {
	current, isOwn := l.join(count)

	if isOwn {
		current.node, current.err = read()
		l.end(current)
	}

	<-current.answered

	return current.node, current.err
}

// join returns the look to wait for, and whether it is the caller's to carry out.
func (l *looks) join(count int) (*look, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.current != nil && l.current.number > count {
		return l.current, false
	}

	l.begun++
	l.current = &look{number: l.begun, answered: make(chan struct{})}

	return l.current, true
}

func (l *looks) end(ended *look) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.current == ended {
		l.current = nil
	}

	close(ended.answered)
}
