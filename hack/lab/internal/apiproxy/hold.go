// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// hold keeps requests that are wanted until it is released.
type hold struct {
	wanted   func(*http.Request) bool
	released chan struct{}
	kept     *noted
}

// Writes is for Hold and Inject: whatever changes something.
func Writes(request *http.Request) bool {
	return request.Method != http.MethodGet && request.Method != http.MethodHead
}

// Hold keeps the requests that are wanted until Release. They are then passed on
// even if their client has given them up, or is gone: what a network has taken
// it may deliver late. It takes the place of the last Hold, which it releases.
func (proxy *Proxy) Hold(wanted func(*http.Request) bool) {
	proxy.exchange(&hold{wanted: wanted, released: make(chan struct{}), kept: newNoted()})
}

// Release passes on what is held, in no order, and holds nothing from now on.
// It returns before anything has arrived.
func (proxy *Proxy) Release() { proxy.exchange(nil) }

// exchange puts another hold into place and releases the last one.
func (proxy *Proxy) exchange(next *hold) {
	proxy.mu.Lock()
	last := proxy.hold
	proxy.hold = next
	proxy.mu.Unlock()

	if last != nil {
		close(last.released)
	}
}

// Held returns the requests that are held, as "PATCH /api/v1/nodes/a", in the
// order in which they came.
func (proxy *Proxy) Held() []string {
	kept, _ := proxy.held()

	return kept
}

// AwaitHeld waits until what is held is as wanted. Without a Hold it waits until
// ctx is done.
func (proxy *Proxy) AwaitHeld(ctx context.Context, wanted func(held []string) bool) error {
	return await(ctx, proxy.held, wanted)
}

func (proxy *Proxy) held() (kept []string, changed <-chan struct{}) {
	proxy.mu.Lock()
	hold := proxy.hold
	proxy.mu.Unlock()

	if hold == nil {
		return nil, nil
	}

	return hold.kept.all()
}

// keep returns the request when it is released, in a form that its client cannot
// take back any more. It returns false if closing ended first.
func (hold *hold) keep(closing context.Context, request *http.Request) (*http.Request, bool) {
	// It has come as a whole, or never will.
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, false
	}

	hold.kept.add(request)

	select {
	case <-hold.released:
	case <-closing.Done():
		return nil, false
	}

	//nolint:contextcheck // that of the request ends with its client
	late := request.Clone(context.WithoutCancel(request.Context()))
	late.Body = io.NopCloser(bytes.NewReader(body))

	return late, true
}
