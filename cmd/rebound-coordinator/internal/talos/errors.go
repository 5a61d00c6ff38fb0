// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/client"
	"google.golang.org/grpc/codes"

	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// maxWords bounds what a server says, in bytes.
const maxWords = 512

// RefusedError says that the talosconfig or the server does not allow the call, and that nothing has come of it. It stays so
// until somebody changes something there. Its text has the server's words and no secrets.
type RefusedError struct{ err error }

// Error implements error.
func (e RefusedError) Error() string { return e.err.Error() }

// Unwrap returns what it is about.
func (e RefusedError) Unwrap() error { return e.err }

// UnsentError says that no endpoint has heard of the call, so nothing has come of it. Trying again may help.
type UnsentError struct{ err error }

// Error implements error.
func (e UnsentError) Error() string { return e.err.Error() }

// Unwrap returns why.
func (e UnsentError) Unwrap() error { return e.err }

// wrap says what has failed. The type of the error can still be told.
func wrap(err error, format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// explain returns what an error of a call says, as one of the types if it is such an error. ctx is that of the call.
func (s *session) explain(ctx context.Context, err error) error {
	if err == nil || errors.As(err, new(RefusedError)) {
		return err
	}

	words := specs.Printable(check.Words(err), maxWords)
	said := errors.New(words)

	if ctx.Err() != nil {
		said = context.Cause(ctx)
	}

	switch client.StatusCode(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented, codes.InvalidArgument, codes.NotFound,
		codes.FailedPrecondition:
		return RefusedError{errors.New(words)}
	default:
	}

	switch {
	case s.sent.Load():
		return said
	case failedHandshake(words):
		return RefusedError{s.unusable(errors.New(words))}
	default:
		return UnsentError{said}
	}
}

// failedHandshake tells whether one of the two sides did not accept the other's certificate. gRPC has only words for that; the
// prefixes are those of the errors of crypto/tls and crypto/x509.
func failedHandshake(words string) bool {
	return strings.Contains(words, "tls: ") || strings.Contains(words, "x509: ")
}
