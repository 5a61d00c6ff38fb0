// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/talos-rebound/rebound/internal/kube"
)

// reset is what a connection from a port gives when the server drops it.
func reset(port int) error {
	return &net.OpError{
		Op: "read", Net: "tcp",
		Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: port},
		Addr:   &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6443},
		Err:    syscall.ECONNRESET,
	}
}

func TestDescribeGivesOneLineThatStaysTheSame(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		// err is the error of the nth try.
		err  func(nth int) error
		want string
	}{
		{
			"for an error of several lines",
			func(int) error { return fmt.Errorf("%s", "\tno\n\n  such \r\nthing\n") },
			"no such thing",
		},
		{
			"for a connection that was reset",
			func(nth int) error { return fmt.Errorf("failed to read node: %w", reset(40000+nth)) },
			"failed to read node: read tcp 10.0.0.1:6443: connection reset by peer",
		},
		{
			"for two connections that were reset",
			func(nth int) error { return errors.Join(reset(40000+nth), reset(50000+nth)) },
			"read tcp 10.0.0.1:6443: connection reset by peer read tcp 10.0.0.1:6443: connection reset by peer",
		},
		{
			"for a connection that was never made",
			func(int) error {
				return &net.OpError{
					Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv6loopback, Port: 7445}, Err: syscall.ECONNREFUSED,
				}
			},
			"dial tcp [::1]:7445: connection refused",
		},
		{
			"for a connection over IPv6 that was reset",
			func(nth int) error { return fmt.Errorf("read tcp6 [fd00::5%%eth0]:%d->[fd00::1]:6443: reset", nth) },
			"read tcp6 [fd00::1]:6443: reset",
		},
		{
			"for a name that was not looked up",
			func(nth int) error {
				return &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
					Name: "cp.example.org", Server: "10.0.0.53:53",
					Err: fmt.Sprintf("read udp 10.0.0.5:%d->10.0.0.53:53: i/o timeout", 40000+nth),
				}}
			},
			"dial tcp: lookup cp.example.org on 10.0.0.53:53: read udp 10.0.0.53:53: i/o timeout",
		},
		{
			"for a watch",
			func(nth int) error {
				return &url.Error{
					Op: "Get", URL: fmt.Sprintf("https://cp:6443/api/v1/pods?timeoutSeconds=%d&watch=true", 300+nth), Err: io.EOF,
				}
			},
			`Get "https://cp:6443/api/v1/pods": EOF`,
		},
		{
			"for a request that client-go had tried before",
			func(nth int) error {
				if nth == 0 {
					return context.DeadlineExceeded
				}

				return fmt.Errorf("%w - error from a previous attempt: %w", context.DeadlineExceeded, reset(nth))
			},
			"context deadline exceeded",
		},
		{
			"for a server that shuts down",
			func(nth int) error {
				return fmt.Errorf("http2: server sent GOAWAY and closed the connection; LastStreamID=%d, ErrCode=NO_ERROR", nth)
			},
			"http2: server sent GOAWAY and closed the connection; ErrCode=NO_ERROR",
		},
		{
			"for a stream that was reset",
			func(nth int) error { return fmt.Errorf("stream error: stream ID %d; INTERNAL_ERROR", nth) },
			"stream error: INTERNAL_ERROR",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			for nth := range 3 {
				assert.Equal(t, tc.want, kube.Describe(tc.err(nth)))
			}
		})
	}
}

func TestANewClientMayHelp(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"when the server does not accept the certificate", apierrors.NewUnauthorized(""), true},
		{"when the server sends an alert", &net.OpError{Op: "remote error", Err: tls.AlertError(42)}, true},
		{"when this side sends an alert", &net.OpError{Op: "local error", Err: tls.AlertError(42)}, true},
		{"when the server's certificate is not accepted", &tls.CertificateVerificationError{Err: errors.New("unknown authority")}, true},
		{"when the server does not speak TLS", tls.RecordHeaderError{Msg: "not a TLS handshake"}, true},
		{"but not when a connection is reset", reset(40000), false},
		{"but not when the server refuses", apierrors.NewForbidden(pods, "", nil), false},
		{"but not when a request takes too long", context.DeadlineExceeded, false},
		{"but not when nothing has failed", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, tc.want, kube.IsIdentity(tc.err))

			if tc.err != nil {
				assert.Equal(t, tc.want, kube.IsIdentity(fmt.Errorf("failed: %w", tc.err)))
			}
		})
	}
}
