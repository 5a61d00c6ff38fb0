// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"context"
	"net/http"
	"sync"
)

// noted is a list of requests that can be waited for.
type noted struct {
	mu      sync.Mutex
	entries []string
	changed chan struct{}
}

func newNoted() *noted { return &noted{changed: make(chan struct{})} }

// add appends a request, as "PATCH /api/v1/nodes/a".
func (noted *noted) add(request *http.Request) {
	noted.mu.Lock()
	defer noted.mu.Unlock()

	noted.entries = append(noted.entries, request.Method+" "+request.URL.Path)
	close(noted.changed)
	noted.changed = make(chan struct{})
}

// all returns the requests in the order in which they came, and what is closed
// when there is another one.
func (noted *noted) all() (entries []string, changed <-chan struct{}) {
	noted.mu.Lock()
	defer noted.mu.Unlock()

	return append([]string{}, noted.entries...), noted.changed
}

// await waits until the requests are as wanted.
func await(ctx context.Context, all func() ([]string, <-chan struct{}), wanted func([]string) bool) error {
	for {
		entries, changed := all()
		if wanted(entries) {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
