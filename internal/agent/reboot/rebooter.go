// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"context"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// rebootTimeout bounds what asks for a reboot. A command may wait before it does so.
	rebootTimeout = 5 * time.Minute
	// checkPeriod is the time between two checks whether a reboot could work, checkTimeout bounds one.
	checkPeriod  = time.Minute
	checkTimeout = 10 * time.Second
	// writeInterval is the least time between two reports: what comes and goes within it is not written to the API server.
	writeInterval = time.Second
	// connectDelay and connectLimit bound the time between two connections to the API server. It starts short, since there
	// may be a grant.
	connectDelay = 250 * time.Millisecond
	connectLimit = 30 * time.Second
	// steadyTime is how long a connection must have lasted to be followed by another one at once.
	steadyTime = 30 * time.Second
)

// Connection is what a Rebooter needs of the API server; internal/kube/nodemeta has it.
type Connection interface {
	// WatchNode calls changed with the Node, or with nil if there is none, at first and after every change. It returns when
	// ctx ends or when the watch breaks, and may return before.
	WatchNode(ctx context.Context, node string, changed func(*metav1.PartialObjectMetadata)) error
	// AnnotateNode sets an annotation of the Node, and returns the Node as it is then.
	AnnotateNode(ctx context.Context, node, annotation, value string) (*metav1.PartialObjectMetadata, error)
	// Close lets go of the connection.
	Close()
}

// Rebooter tells the coordinator what the host wants, and reboots the machine when that is granted.
type Rebooter struct {
	// Node is the name of the Node.
	Node string
	// Sentinels tell whether the host wants to be rebooted. Without any it never does, and a person may still ask for it.
	Sentinels []Sentinel
	// BootID reads which boot this is, from the kernel and not from memory.
	BootID func() (string, error)
	// Connect opens a connection to the API server, with the credentials as they are now.
	Connect func() (Connection, error)
	// Reboot asks for the reboot of the machine. It may return before the machine goes down, and may be repeated.
	Reboot func(context.Context) error
	// Check returns why Reboot could not work now, so that no reboot is granted in vain: the node would be drained, and down in
	// name only. Nil if that cannot be told.
	Check func(context.Context) error
	// DryRun only says what would be done.
	DryRun bool
	// Status takes what is known, after every change; nil for nobody.
	Status func(Status)
	Logger *zap.Logger
}

// Status is what others may be told.
type Status struct {
	// Wanted is whether the machine wants to be rebooted, Since since when.
	Wanted bool
	Since  time.Time
	// Granted is whether its reboot is granted in this boot.
	Granted bool
}

// Run does so until ctx is done. Everything that it has started has ended when it returns.
func (r *Rebooter) Run(ctx context.Context) {
	n := newRun(r)
	defer n.work.Wait()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	for i, sentinel := range r.Sentinels {
		n.work.Go(func() {
			sentinel.Watch(ctx, func(wanted bool, reason string) {
				n.update(func() { n.signs[i] = sign{known: true, wanted: wanted, reason: reason} })
			})
		})
	}

	n.work.Go(func() { n.follow(ctx) })

	if r.Check != nil {
		n.work.Go(func() { n.check(ctx) })
	}

	timer := time.NewTimer(0)
	defer timer.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-n.changed:
		case <-timer.C:
		}

		timer.Stop()

		if next := n.step(ctx); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}
