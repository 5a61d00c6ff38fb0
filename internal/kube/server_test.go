// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/internal/kube"
)

var (
	pods  = schema.GroupResource{Resource: "pods"}
	nodes = schema.GroupResource{Resource: "nodes"}
)

// server is an API server as far as a connection goes: it speaks HTTP/2 over TLS and asks every client for a certificate.
type server struct {
	*httptest.Server

	authority authority
	door      *door
}

// door is a listener that can be told to hang up on everybody who comes.
type door struct {
	net.Listener

	hangUp atomic.Bool
}

func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil || !d.hangUp.Load() {
			return conn, err
		}

		if err = conn.Close(); err != nil {
			return nil, err
		}
	}
}

func serve(t *testing.T, handler http.HandlerFunc, edits ...func(*server)) *server {
	t.Helper()

	s := &server{Server: httptest.NewUnstartedServer(handler), authority: newAuthority(t)}
	s.door = &door{Listener: s.Listener}
	s.Listener = s.door
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{s.authority.issue(t).tls(t)},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    s.authority.pool(),
	}

	for _, edit := range edits {
		edit(s)
	}

	s.StartTLS()
	t.Cleanup(s.stop)

	return s
}

// http1 keeps a server from speaking HTTP/2.
func http1(s *server) { s.EnableHTTP2 = false }

// presenting makes a server show a certificate of its own.
func presenting(t *testing.T, p pair) func(*server) {
	t.Helper()

	return func(s *server) { s.TLS.Certificates = []tls.Certificate{p.tls(t)} }
}

// stop ends the server and its connections. What comes later is refused.
func (s *server) stop() {
	s.Listener.Close() //nolint:errcheck // stop may be called twice
	s.CloseClientConnections()
	s.Close()
}

// lose ends all connections and hangs up on new ones.
func (s *server) lose() {
	s.door.hangUp.Store(true)
	s.CloseClientConnections()
}

// kubeconfig writes a kubeconfig for the server with a new certificate in it.
func (s *server) kubeconfig(t *testing.T, edits ...func(*clientcmdapi.Config)) string {
	t.Helper()

	identity := s.authority.issue(t)

	config := clientcmdapi.NewConfig()
	config.Clusters["default"] = &clientcmdapi.Cluster{Server: s.URL, CertificateAuthorityData: s.authority.pem()}
	config.AuthInfos["default"] = &clientcmdapi.AuthInfo{ClientCertificateData: identity.certificate, ClientKeyData: identity.key}
	config.Contexts["default"] = &clientcmdapi.Context{Cluster: "default", AuthInfo: "default"}
	config.CurrentContext = "default"

	for _, edit := range edits {
		edit(config)
	}

	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, path))

	return path
}

func (s *server) open(t *testing.T, edits ...func(*clientcmdapi.Config)) *kube.Client {
	t.Helper()

	return open(t, s.kubeconfig(t, edits...))
}

func open(t *testing.T, path string) *kube.Client {
	t.Helper()

	client, err := kube.Open(path)
	require.NoError(t, err)
	t.Cleanup(client.Close)

	return client
}

// answer writes an object as the API server does.
func answer(w http.ResponseWriter, code int, object runtime.Object) {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)

	// To encode an object sets its kind.
	body, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, schema.GroupVersion{Version: "v1"}), object.DeepCopyObject())
	if err != nil {
		panic(err)
	}

	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	w.WriteHeader(code)
	w.Write(body) //nolint:errcheck // the client may have gone
}

// refuse writes an error as the API server does.
func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	answer(w, int(status.Code), &status)
}

func refusing(err *apierrors.StatusError) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, err) }
}

// succeeding answers every request as if it had been carried out.
func succeeding(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, &metav1.Status{Status: metav1.StatusSuccess})
}

// hanging takes requests and answers none. It tells of the first that has come.
func hanging() (handler http.HandlerFunc, arrived <-chan struct{}) {
	arrivals := make(chan struct{}, 1)

	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case arrivals <- struct{}{}:
		default:
		}

		<-r.Context().Done()
	}, arrivals
}
