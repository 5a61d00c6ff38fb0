// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"crypto/tls"
	"net/http"
)

// LoseAnswer is the Fault that a request is passed on and has its effect, and
// then the connection is reset in place of an answer. All else on the connection
// is lost with it.
func LoseAnswer() Fault {
	return func(forward http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
			forward.ServeHTTP(lost{}, request)

			if conn, ok := request.Context().Value(connectionKey{}).(*tls.Conn); ok {
				if inner, ok := conn.NetConn().(*connection); ok {
					inner.reset()
				}
			}

			panic(http.ErrAbortHandler)
		})
	}
}

// connectionKey is the key of a request's connection in its context.
type connectionKey struct{}

// lost is an answer that nobody gets.
type lost struct{}

// Header implements http.ResponseWriter.
func (lost) Header() http.Header { return http.Header{} }

// Write implements io.Writer.
func (lost) Write(content []byte) (int, error) { return len(content), nil }

// WriteHeader implements http.ResponseWriter.
func (lost) WriteHeader(int) {}
