// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"io"
	"net/http"
)

// truncatedAt is how many bytes of an answer arrive. No event is as short, in
// JSON or protobuf.
const truncatedAt = 16

// Truncate is the Fault that the body of an answer ends early, as if that was all
// of it: of a watch, in the middle of the first event.
func Truncate() Fault {
	return func(forward http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			short := &truncated{ResponseWriter: w, left: truncatedAt}

			defer func() {
				// What passes requests on panics if it cannot write the answer, and the
				// client would be told that something is missing.
				if problem := recover(); problem != nil && (problem != http.ErrAbortHandler || short.left > 0) { //nolint:errorlint // it is compared by what has panicked
					panic(problem)
				}
			}()

			forward.ServeHTTP(short, request)
		})
	}
}

// truncated writes no more than what is left.
type truncated struct {
	http.ResponseWriter

	left int
}

// Write implements io.Writer.
func (w *truncated) Write(content []byte) (int, error) {
	content = content[:min(w.left, len(content))]
	w.left -= len(content)

	written, err := w.ResponseWriter.Write(content)
	if err == nil && w.left == 0 {
		err = io.ErrShortWrite
	}

	return written, err
}

// WriteHeader implements http.ResponseWriter.
func (w *truncated) WriteHeader(code int) {
	// A length would tell that something is missing.
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController, which flushes.
func (w *truncated) Unwrap() http.ResponseWriter { return w.ResponseWriter }
