// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httputil"
)

// The headers in which an authenticating proxy tells the API server who asks. It
// is told to believe them by its flags --requestheader-*.
const (
	UserHeader  = "X-Remote-User"
	GroupHeader = "X-Remote-Group"
)

// Front makes a proxy an authenticating one, as Kubernetes defines it: it sees
// to the certificate of its client, and says in headers whose it is. The API
// server goes by those headers, because it trusts the proxy's own certificate.
type Front struct {
	// Clients is who signs the certificates of clients.
	Clients *x509.CertPool
	// Identity is the proxy's own certificate.
	Identity tls.Certificate
}

// serving is what a client has to show: a certificate that is valid as the
// connection is made, or none. Without one it is anonymous to the API server.
func (front *Front) serving() *tls.Config {
	if front == nil {
		return nil
	}

	return &tls.Config{ClientCAs: front.Clients, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12}
}

// client is how the proxy connects to the API server.
func (front *Front) client(roots *x509.CertPool) *tls.Config {
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}

	if front != nil {
		config.Certificates = []tls.Certificate{front.Identity}
	}

	return config
}

// introduce says on a request whose it is. What a client says about itself is
// taken away first.
func (front *Front) introduce(request *httputil.ProxyRequest) {
	request.Out.Header.Del(UserHeader)
	request.Out.Header.Del(GroupHeader)

	if front == nil || request.In.TLS == nil || len(request.In.TLS.VerifiedChains) == 0 {
		return
	}

	subject := request.In.TLS.VerifiedChains[0][0].Subject
	request.Out.Header.Set(UserHeader, subject.CommonName)

	for _, group := range subject.Organization {
		request.Out.Header.Add(GroupHeader, group)
	}
}
