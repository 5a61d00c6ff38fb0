// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package apiproxy stands between one client and the API server, and does to
// their traffic what networks do: it is slow, it breaks, it goes silent, and it
// delivers requests long after their sender has given up on them. Of chosen
// requests it loses, refuses, truncates or holds up the answer, see Inject.
//
// It ends TLS on both sides. A token passes through; a client certificate does
// not, and so the proxy can be one that the API server believes when it says who
// its client is (see Front). It is no general proxy.
package apiproxy

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where a proxy stands.
type Config struct {
	// Server is the URL of the API server, and Roots is whom it is trusted by.
	Server *url.URL
	Roots  *x509.CertPool
	// Certificate and Key are the paths of what the proxy shows to its client.
	Certificate, Key string
	// Front makes it tell the API server whose certificate its client has shown; nil
	// for clients with tokens.
	Front *Front
}

// Proxy passes everything on until it is told otherwise. Its methods may be
// called concurrently.
type Proxy struct {
	server    *http.Server
	listener  *listener
	forward   *httputil.ReverseProxy
	transport *http.Transport
	serving   sync.WaitGroup

	// closing ends the requests that nobody waits for any more.
	closing context.Context
	end     context.CancelFunc

	requests atomic.Int64

	mu      sync.Mutex
	latency time.Duration
	// open is closed unless nothing passes; it is replaced.
	open       chan struct{}
	hold       *hold
	injections []*Injection
}

// Listen starts a proxy on a free port of loopback.
func Listen(config Config) (*Proxy, error) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("failed to listen: %w", err)
	}

	silent := log.New(io.Discard, "", 0)
	transport := &http.Transport{
		TLSClientConfig:   config.Front.client(config.Roots),
		ForceAttemptHTTP2: true,
	}

	proxy := &Proxy{
		listener:  &listener{Listener: inner, conns: map[*connection]struct{}{}},
		transport: transport,
		open:      make(chan struct{}),
		forward: &httputil.ReverseProxy{
			Rewrite: func(request *httputil.ProxyRequest) {
				request.SetURL(config.Server)
				config.Front.introduce(request)
			},
			Transport:     transport,
			FlushInterval: -1, // an event of a watch must not wait for the next one
			ErrorLog:      silent,
		},
	}
	proxy.closing, proxy.end = context.WithCancel(context.Background())
	close(proxy.open)

	proxy.server = &http.Server{Handler: proxy, ErrorLog: silent, ReadHeaderTimeout: time.Minute, TLSConfig: config.Front.serving()}
	proxy.server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, conn)
	}

	proxy.serving.Go(func() {
		// It returns when the proxy is closed.
		proxy.server.ServeTLS(proxy.listener, config.Certificate, config.Key) //nolint:errcheck // as above
	})

	return proxy, nil
}

// URL is where the client finds the proxy.
func (proxy *Proxy) URL() string { return "https://" + proxy.listener.Addr().String() }

// Requests is how often the client has asked for something: the requests that
// have come, whatever became of them, and the connections that were refused.
func (proxy *Proxy) Requests() int { return int(proxy.requests.Load() + proxy.listener.refused.Load()) }

// SetLatency delays every request by d before it is passed on; 0 does not.
func (proxy *Proxy) SetLatency(d time.Duration) {
	proxy.mu.Lock()
	defer proxy.mu.Unlock()

	proxy.latency = d
}

// Cut breaks every connection and refuses new ones, until Restore.
func (proxy *Proxy) Cut() { proxy.listener.cut(true) }

// Restore lets connections be made again.
func (proxy *Proxy) Restore() { proxy.listener.cut(false) }

// Freeze lets nothing pass in either direction, until Thaw. Connections stay, and
// new ones can be made: neither side is told that the other one is gone. What
// was asked meanwhile is passed on after Thaw; what its client has given up by
// then may be, or not, as in a network.
func (proxy *Proxy) Freeze() {
	proxy.mu.Lock()
	defer proxy.mu.Unlock()

	select {
	case <-proxy.open:
		proxy.open = make(chan struct{})
	default:
	}
}

// Thaw ends what Freeze began.
func (proxy *Proxy) Thaw() {
	proxy.mu.Lock()
	defer proxy.mu.Unlock()

	select {
	case <-proxy.open:
	default:
		close(proxy.open)
	}
}

// Close breaks every connection and waits until nothing is served any more.
// Requests that are held are dropped.
func (proxy *Proxy) Close() error {
	proxy.end()

	err := proxy.server.Close()

	proxy.serving.Wait()
	proxy.transport.CloseIdleConnections()

	if errors.Is(err, net.ErrClosed) {
		return nil
	}

	return err
}

// ServeHTTP implements http.Handler.
func (proxy *Proxy) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	proxy.serving.Add(1)
	defer proxy.serving.Done()

	proxy.requests.Add(1)

	proxy.mu.Lock()
	latency, hold := proxy.latency, proxy.hold
	proxy.mu.Unlock()

	if !sleep(request.Context(), latency) || !proxy.pass(request.Context()) {
		panic(http.ErrAbortHandler)
	}

	if hold != nil && hold.wanted(request) {
		var ok bool

		//nolint:contextcheck // that of the request ends with its client
		if request, ok = hold.keep(proxy.closing, request); !ok {
			panic(http.ErrAbortHandler)
		}
	}

	proxy.handler(request).ServeHTTP(&gatedWriter{ResponseWriter: w, proxy: proxy, request: request}, request)
}

// sleep returns false if ctx ended it.
func sleep(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}

	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pass waits while the proxy is frozen. It returns false if ctx ended first.
func (proxy *Proxy) pass(ctx context.Context) bool {
	proxy.mu.Lock()
	open := proxy.open
	proxy.mu.Unlock()

	select {
	case <-open:
		return true
	case <-ctx.Done():
		return false
	case <-proxy.closing.Done():
		return false
	}
}

// gatedWriter lets an answer pass only while the proxy is not frozen.
type gatedWriter struct {
	http.ResponseWriter

	proxy   *Proxy
	request *http.Request
}

// Write implements io.Writer.
func (w *gatedWriter) Write(content []byte) (int, error) {
	if !w.proxy.pass(w.request.Context()) {
		return 0, net.ErrClosed
	}

	return w.ResponseWriter.Write(content)
}

// WriteHeader implements http.ResponseWriter.
func (w *gatedWriter) WriteHeader(code int) {
	w.proxy.pass(w.request.Context())
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController, which flushes.
func (w *gatedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
