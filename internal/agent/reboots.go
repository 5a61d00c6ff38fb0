// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/godbus/dbus/v5"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/internal/agent/reboot"
	"github.com/talos-rebound/rebound/internal/agent/reboot/sentinel"
	"github.com/talos-rebound/rebound/internal/kube/nodemeta"
)

const (
	// sentinelPeriod is the time between two looks for the sentinel, besides those that inotify asks for.
	sentinelPeriod = time.Minute
	// sentinelTimeout bounds the sentinel command. A package manager may have to ask the network.
	sentinelTimeout = 50 * time.Second
)

// reboots tells what the host wants, and reboots it when that is granted, until ctx is done.
func (a *agent) reboots(ctx context.Context) {
	name, err := a.awaitNodename(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.config.Logger.Error("failed to wait for the node's name, there will be no reboots", zap.Error(err))
		}

		return
	}

	rebooter := &reboot.Rebooter{
		Node: name, Sentinels: a.sentinels(), BootID: a.config.bootID, Connect: a.connectToNode, Reboot: a.rebootHost,
		DryRun: a.config.DryRun, Status: a.told, Logger: a.config.Logger,
	}

	// What a command will do nobody can tell.
	if a.config.Reboots.Command == "" {
		rebooter.Check = reboot.Logind{Connect: dbus.ConnectSystemBus}.Check
	}

	a.config.Logger.Info("takes part in coordinated reboots", zap.String("node", name), zap.String("sentinel", a.config.Reboots.Sentinel),
		zap.String("sentinel_command", a.config.Reboots.SentinelCommand), zap.String("reboot_command", a.config.Reboots.Command))
	rebooter.Run(ctx)
}

// awaitNodename returns the name of the Node once it is known.
func (a *agent) awaitNodename(ctx context.Context) (string, error) {
	nodename, err := safe.StateWatchFor[*k8s.Nodename](ctx, a.state, k8s.NewNodename(k8s.NamespaceName, k8s.NodenameID).Metadata(),
		state.WithEventTypes(state.Created, state.Updated))
	if err != nil {
		return "", err
	}

	return nodename.TypedSpec().Nodename, nil
}

func (a *agent) sentinels() []reboot.Sentinel {
	var sentinels []reboot.Sentinel

	if path := a.config.Reboots.Sentinel; path != "" {
		sentinels = append(sentinels, &sentinel.File{Path: path, Root: a.config.Root, Period: sentinelPeriod, Logger: a.config.Logger})
	}

	if command := a.config.Reboots.SentinelCommand; command != "" {
		sentinels = append(sentinels, &sentinel.Command{
			Command: command, Period: sentinelPeriod, Timeout: sentinelTimeout, Logger: a.config.Logger,
		})
	}

	return sentinels
}

// connectToNode makes a connection with the credentials as they are now.
func (a *agent) connectToNode() (reboot.Connection, error) {
	config, err := a.config.client()
	if err != nil {
		return nil, err
	}

	return nodemeta.Open(config)
}

// rebootHost asks for the reboot of the host.
func (a *agent) rebootHost(ctx context.Context) error {
	if command := a.config.Reboots.Command; command != "" {
		return sentinel.Run(ctx, command)
	}

	return reboot.Logind{Connect: dbus.ConnectSystemBus}.Reboot(ctx)
}

// bootID reads which boot this is.
func (c *Config) bootID() (string, error) {
	content, err := os.ReadFile(c.bootIDPath())
	if err != nil {
		return "", fmt.Errorf("failed to read the boot id: %w", err)
	}

	id := strings.TrimSpace(string(content))
	if id == "" {
		return "", errors.New("failed to read the boot id: it is empty")
	}

	return id, nil
}
