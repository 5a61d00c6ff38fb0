// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"context"
	"net/http"
	"time"
)

// SlowBody is the Fault that the body of an answer trickles: so many bytes, then
// a pause, until it is through or its client has given up.
func SlowBody(size int, pause time.Duration) Fault {
	return func(forward http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			forward.ServeHTTP(&trickle{ResponseWriter: w, ctx: request.Context(), size: size, pause: pause}, request)
		})
	}
}

// trickle writes slowly.
type trickle struct {
	http.ResponseWriter

	//nolint:containedctx // that of the one request that is answered
	ctx   context.Context
	size  int
	pause time.Duration
}

// Write implements io.Writer.
func (w *trickle) Write(content []byte) (written int, err error) {
	for control := http.NewResponseController(w.ResponseWriter); written < len(content); {
		n, err := w.ResponseWriter.Write(content[written:min(written+w.size, len(content))])
		written += n

		if err == nil {
			err = control.Flush()
		}

		if err == nil && !sleep(w.ctx, w.pause) {
			err = context.Cause(w.ctx)
		}

		if err != nil {
			return written, err
		}
	}

	return written, nil
}

// Unwrap is for http.ResponseController, which flushes.
func (w *trickle) Unwrap() http.ResponseWriter { return w.ResponseWriter }
