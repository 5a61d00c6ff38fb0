// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// IsGone is true for the errors of a delete that somebody else had carried out before: the pod is not there, or one of
// another UID has taken its name.
func IsGone(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err)
}

// IsRefused is true for the errors of a request that the server understood and will not carry out. To repeat it helps
// only once something has changed on the server's side.
func IsRefused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err)
}

// IsIdentity is true for the errors that a new client may cure, because it reads the certificates again: the server does
// not accept this one, or this side does not accept the server's.
func IsIdentity(err error) bool {
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

// Describe words an error for a status: on one line, and the same for as long as the cause is the same. The addresses of
// this side's end and the times of day, which net and x509 put into theirs, would change it with every try.
func Describe(err error) string {
	text := err.Error()

	var operation *net.OpError
	if errors.As(err, &operation) && operation.Source != nil {
		stable := *operation
		stable.Source = nil
		text = strings.ReplaceAll(text, operation.Error(), stable.Error())
	}

	var certificate x509.CertificateInvalidError
	if errors.As(err, &certificate) && certificate.Reason == x509.Expired {
		stable := fmt.Sprintf("x509: certificate is valid from %s until %s only",
			certificate.Cert.NotBefore.UTC().Format("2006-01-02 15:04:05"), certificate.Cert.NotAfter.UTC().Format("2006-01-02 15:04:05"))
		text = strings.ReplaceAll(text, certificate.Error(), stable)
	}

	return strings.Join(strings.Fields(text), " ")
}
