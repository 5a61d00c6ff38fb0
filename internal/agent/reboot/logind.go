// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// Logind reboots the machine through systemd-logind, which lets the kubelet and others end what they run before it
// (systemd, org.freedesktop.login1(5)). Root needs no capability for it: logind asks who calls, and the D-Bus tells it the
// user (systemd, sd_bus_query_sender_privilege).
//
// Not on Talos, whose broker serves one client; see host.Shutdown.
type Logind struct {
	// Connect opens a connection that is not shared to a D-Bus, such as dbus.ConnectSystemBus.
	Connect func(...dbus.ConnOption) (*dbus.Conn, error)
}

// Reboot asks for the reboot and returns once logind has agreed: what runs here is ended soon after. It may be repeated; an
// error has the words of the D-Bus or of logind, such as those about a reboot that is under way or that somebody inhibits.
func (l Logind) Reboot(ctx context.Context) error {
	// The argument is whether polkit may ask a person.
	return l.call(ctx, "Reboot", func(call *dbus.Call) error { return call.Err }, false)
}

// Check returns why logind could not be asked for a reboot now, and asks for none.
func (l Logind) Check(ctx context.Context) error {
	return l.call(ctx, "CanReboot", func(call *dbus.Call) error {
		var answer string

		if err := call.Store(&answer); err != nil {
			return err
		}

		if answer != "yes" {
			return fmt.Errorf("it answers %q", answer)
		}

		return nil
	})
}

func (l Logind) call(ctx context.Context, method string, read func(*dbus.Call) error, args ...any) error {
	conn, err := l.Connect(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("failed to connect to the system's D-Bus: %w", err)
	}

	defer conn.Close() //nolint:errcheck // the answer has come or does not count

	call := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").
		CallWithContext(ctx, "org.freedesktop.login1.Manager."+method, 0, args...)

	if err = read(call); err != nil {
		return fmt.Errorf("failed to call %s of logind: %w", method, err)
	}

	return nil
}
