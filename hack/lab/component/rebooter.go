// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	agentreboot "github.com/talos-rebound/rebound/internal/agent/reboot"
)

// rebootTimeout bounds the wait for logind's answer.
const rebootTimeout = 30 * time.Second

// reboot asks for a reboot through the bus at the address in args.
func reboot(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected one bus address, got %q", args)
	}

	ctx, cancel := context.WithTimeout(context.Background(), rebootTimeout)
	defer cancel()

	return agentreboot.Logind{Connect: func(opts ...dbus.ConnOption) (*dbus.Conn, error) {
		return dbus.Connect(args[0], opts...)
	}}.Reboot(ctx)
}
