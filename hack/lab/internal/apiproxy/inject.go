// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"context"
	"net/http"
	"slices"
)

// Fault is what becomes of a request and its answer. Forward is what passes the
// request on.
type Fault func(forward http.Handler) http.Handler

// Injection is a Fault that waits for requests.
type Injection struct {
	proxy  *Proxy
	fault  Fault
	wanted func(*http.Request) bool
	// left is how many requests it may still befall; negative for all. The proxy's
	// lock guards it.
	left   int
	struck *noted
}

// Inject has the fault befall the next requests that are wanted: so many times,
// or always if times is 0, but not after TakeBack. Of several that want a
// request, the one that was injected first befalls it.
func (proxy *Proxy) Inject(fault Fault, wanted func(*http.Request) bool, times int) *Injection {
	injection := &Injection{proxy: proxy, fault: fault, wanted: wanted, left: times, struck: newNoted()}

	if times == 0 {
		injection.left = -1
	}

	proxy.mu.Lock()
	defer proxy.mu.Unlock()

	proxy.injections = append(proxy.injections, injection)

	return injection
}

// TakeBack lets requests pass from now on. What the fault has befallen already
// is not undone. It may be called again.
func (injection *Injection) TakeBack() {
	proxy := injection.proxy

	proxy.mu.Lock()
	defer proxy.mu.Unlock()

	proxy.injections = slices.DeleteFunc(proxy.injections, func(other *Injection) bool { return other == injection })
}

// Struck returns the requests that the fault has begun to befall, as
// "PATCH /api/v1/nodes/a", in the order in which they came.
func (injection *Injection) Struck() []string {
	struck, _ := injection.struck.all()

	return struck
}

// AwaitStruck waits until the fault has begun to befall so many requests.
func (injection *Injection) AwaitStruck(ctx context.Context, times int) error {
	return await(ctx, injection.struck.all, func(struck []string) bool { return len(struck) >= times })
}

// handler returns what is to become of the request.
func (proxy *Proxy) handler(request *http.Request) http.Handler {
	proxy.mu.Lock()
	defer proxy.mu.Unlock()

	for _, injection := range proxy.injections {
		if injection.left == 0 || !injection.wanted(request) {
			continue
		}

		injection.left--
		injection.struck.add(request)

		return injection.fault(proxy.forward)
	}

	return proxy.forward
}
