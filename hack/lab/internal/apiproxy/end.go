// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"context"
	"net/http"
)

// End is the Fault that an answer which goes on, that of a watch, ends as soon as
// done is closed, and between two events: as it does when the API server shuts
// down, or after some minutes.
func End(done <-chan struct{}) Fault {
	return func(forward http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			ctx, cancel := context.WithCancel(request.Context())
			defer cancel()

			ended := make(chan struct{})
			defer close(ended)

			go func() {
				select {
				case <-done:
					cancel()
				case <-ended:
				}
			}()

			defer func() {
				// What passes requests on panics when it is cut off, and the client would be
				// told that something is missing.
				if problem := recover(); problem != nil && (problem != http.ErrAbortHandler || request.Context().Err() != nil) { //nolint:errorlint // it is compared by what has panicked
					panic(problem)
				}
			}()

			forward.ServeHTTP(w, request.WithContext(ctx))
		})
	}
}
