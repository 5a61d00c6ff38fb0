// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubereboot

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// maxWords bounds what is shown of an error, in bytes.
const maxWords = 1024

// requestError is why a request failed. Its text can be printed as it is.
type requestError struct {
	doing string
	cause error
}

func (err requestError) Error() string {
	if IsNotInstalled(err.cause) {
		return err.doing + ": the API server does not know these objects"
	}

	return err.doing + ": " + specs.Printable(kube.Describe(err.cause), maxWords)
}

func (err requestError) Unwrap() error { return err.cause }

// IsNotInstalled is true if the API server does not know the resource at all. In place of an object that says so it answers
// with a page.
func IsNotInstalled(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// IsRefused is true if the API server will not carry out the request however often it is asked: for the caller's rights, or
// for what it was asked.
func IsRefused(err error) bool { return kube.IsRefused(err) || apierrors.IsUnauthorized(err) }

// IsAnswer is true if it was the API server that said no.
func IsAnswer(err error) bool {
	var answer apierrors.APIStatus

	return errors.As(err, &answer)
}

// isOutdated is true if somebody else has written, made or deleted the object meanwhile.
func isOutdated(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) && !IsNotInstalled(err)
}

// request sends one request, within its time.
func request[T any](ctx context.Context, doing string, send func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer within %s", requestTimeout))
	defer cancel()

	result, err := send(limited)

	switch {
	case err == nil:
		return result, nil
	case limited.Err() != nil:
		return result, requestError{doing, context.Cause(limited)}
	default:
		return result, requestError{doing, err}
	}
}
