// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// IsGone is true for the errors of a delete that somebody else had carried out before: the pod is not there, or one of
// another UID has taken its name.
func IsGone(err error) bool {
	return !isDenied(err) && (apierrors.IsNotFound(err) || apierrors.IsConflict(err))
}

// IsRefused is true for the errors of a request that the server understood and will not carry out. To repeat it helps
// only once something has changed on the server's side.
func IsRefused(err error) bool {
	var answer apierrors.APIStatus

	switch {
	case isDenied(err):
		return true
	case IsGone(err), apierrors.IsUnauthorized(err), apierrors.IsTooManyRequests(err), !errors.As(err, &answer):
		return false
	default:
		code := answer.Status().Code

		return code >= http.StatusBadRequest && code < http.StatusInternalServerError && code != http.StatusRequestTimeout
	}
}

// isDenied is true if an admission webhook or policy said no. They may do so with any code; without one, the API server makes
// a webhook's a bad request (Kubernetes 1.36, k8s.io/apiserver/pkg/admission/plugin/{webhook/errors,policy/validating}).
func isDenied(err error) bool {
	var answer apierrors.APIStatus

	return errors.As(err, &answer) && denial.MatchString(answer.Status().Message)
}

var denial = regexp.MustCompile(`^admission webhook "[^"]*" denied the request|ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request`)

// IsIdentity is true for the errors that a new client may cure, because it reads the certificates again: the server does
// not accept this one, or this side does not accept the server's.
func IsIdentity(err error) bool {
	if isDenied(err) {
		return false
	}

	var (
		operation    *net.OpError
		record       tls.RecordHeaderError
		verification *tls.CertificateVerificationError
	)

	// crypto/tls has no type of its own for an alert on a connection; these are the operations it gives them.
	if errors.As(err, &operation) && (operation.Op == "remote error" || operation.Op == "local error") {
		return true
	}

	return apierrors.IsUnauthorized(err) || errors.As(err, &record) || errors.As(err, &verification)
}

// unstable are the parts of an error's text that change from one try to the next while its cause does not.
var unstable = []struct {
	pattern *regexp.Regexp
	stable  string
}{
	// The address of this side's end. The errors of a name lookup hold it as text only.
	{regexp.MustCompile(`\b((?:tcp|udp)[46]?) \S+->`), "$1 "},
	// The query of a URL; that of a watch has a random timeout in it.
	{regexp.MustCompile(`(\bhttps?://[^\s"?]+)\?[^\s"]*`), "$1"},
	// The time of day, which x509 compares a certificate's with.
	{regexp.MustCompile(`\bcurrent time \S+ is\b`), "current time is"},
	// The numbers of HTTP/2's streams.
	{regexp.MustCompile(`\bLastStreamID=\d+, `), ""},
	{regexp.MustCompile(`\bstream ID \d+; `), ""},
	// What client-go got when it had tried the same request before.
	{regexp.MustCompile(` - error from a previous attempt: .*`), ""},
}

const (
	// maxWords bounds what is shown of an error, in bytes.
	maxWords = 1024
	// maxRead bounds what is looked at for that. What is left out of it comes on top of what is shown.
	maxRead = 8 * maxWords
)

// Describe words an error for a status: on one line that a terminal can show, bounded, without the credentials of a URL, and
// the same for as long as the cause is the same.
func Describe(err error) string {
	text := strings.Join(strings.Fields(specs.Printable(err.Error(), maxRead)), " ")

	for _, part := range unstable {
		text = part.pattern.ReplaceAllString(text, part.stable)
	}

	return specs.Printable(text, maxWords)
}
