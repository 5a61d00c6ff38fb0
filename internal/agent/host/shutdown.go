// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/zap"
)

// The part of systemd-logind's interface that tells of a shutdown (systemd, org.freedesktop.login1(5)).
const (
	logindName      = "org.freedesktop.login1"
	logindPath      = dbus.ObjectPath("/org/freedesktop/login1")
	logindManager   = logindName + ".Manager"
	shutdownSignal  = "PrepareForShutdown"
	shutdownPending = "PreparingForShutdown"
)

// Shutdown listens to logind for a shutdown that begins or is cancelled.
//
// Not on Talos: its broker serves one client, and whoever connects before the kubelet ends graceful node shutdown
// (siderolabs/talos v1.13.9, internal/pkg/logind/broker.go:94-106).
type Shutdown struct {
	// State is where it is published, as machined does: by the teardown of the kubelet's lifecycle, which closes the gate in
	// any stage. A shutdown that is cancelled brings a new lifecycle.
	State *State
	// Connect opens a connection that is not shared to a D-Bus, such as dbus.ConnectSystemBus.
	Connect func(...dbus.ConnOption) (*dbus.Conn, error)
	// Retry is the time between two tries to reach logind.
	Retry  time.Duration
	Logger *zap.Logger
}

// Watch publishes shutdowns until ctx is done. A logind that cannot be reached is tried again: it may come later.
func (s *Shutdown) Watch(ctx context.Context) {
	problem := ""

	for {
		err := s.listen(ctx, func() { problem = "" })
		if ctx.Err() != nil {
			return
		}

		if text := err.Error(); text != problem {
			problem = text
			s.Logger.Warn("cannot hear of shutdowns from logind; the Node's Ready condition tells of them a moment later", zap.Error(err))
		}

		timer := time.NewTimer(s.Retry)

		select {
		case <-ctx.Done():
			timer.Stop()

			return
		case <-timer.C:
		}
	}
}

// listen returns when the connection breaks.
func (s *Shutdown) listen(ctx context.Context, connected func()) error {
	// The library's own handler may swap two signals that come at once: a shutdown, and that it is cancelled.
	conn, err := s.Connect(dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return fmt.Errorf("failed to connect to the system's D-Bus: %w", err)
	}

	defer conn.Close() //nolint:errcheck // nothing is written

	// The signals come before the question, so that none is missed in between.
	signals := make(chan *dbus.Signal, 1)
	conn.Signal(signals)

	if err = conn.AddMatchSignalContext(ctx,
		dbus.WithMatchObjectPath(logindPath), dbus.WithMatchInterface(logindManager), dbus.WithMatchMember(shutdownSignal)); err != nil {
		return fmt.Errorf("failed to subscribe to logind's signals: %w", err)
	}

	var pending bool

	if err = conn.Object(logindName, logindPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0,
		logindManager, shutdownPending).Store(&pending); err != nil {
		return fmt.Errorf("failed to ask logind whether a shutdown has begun: %w", err)
	}

	connected()

	if err = s.publish(ctx, pending); err != nil {
		return err
	}

	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case signal, open := <-signals:
			if !open {
				return errors.New("the system's D-Bus has closed the connection")
			}

			if begins, ok := shutdownOf(signal); ok {
				if err = s.publish(ctx, begins); err != nil {
					return err
				}
			}
		}
	}
}

// shutdownOf tells whether a signal is about a shutdown, and whether that begins or is cancelled.
func shutdownOf(signal *dbus.Signal) (begins, ok bool) {
	if signal.Name != logindManager+"."+shutdownSignal || len(signal.Body) != 1 {
		return false, false
	}

	begins, ok = signal.Body[0].(bool)

	return begins, ok
}

func (s *Shutdown) publish(ctx context.Context, shuttingDown bool) error {
	if shuttingDown {
		s.Logger.Info("the machine is shutting down")

		return s.State.TeardownLifecycle(ctx)
	}

	return s.State.CreateLifecycle(ctx)
}
