// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const (
	// leaseName is the name of the Lease.
	leaseName = "rebound-coordinator"
	// namespacePath is where a pod finds the name of its namespace.
	namespacePath = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// lease is the lock of the leader election. It cannot be used any more once it could not be renewed for too long.
//
// The election gives up after the renew deadline, and gives the Lease back before it says so
// (k8s.io/client-go v0.36.3, tools/leaderelection). With an API server that does not answer, that took half the deadline
// more, in which this process would go on, and another one lead already. And what is given back then may be the Lease of
// that other one.
type lease struct {
	*resourcelock.LeaseLock

	// validFor is how long after a renewal the lock can be used, renewed when the last one was begun; nil if this process has
	// never led.
	validFor time.Duration
	renewed  atomic.Pointer[time.Time]
}

var errLeaseLost = errors.New("the Lease could not be renewed in time")

// newLease makes the lock.
func (c *Config) newLease(config *rest.Config) (*lease, error) {
	namespace := c.LeaseNamespace

	if namespace == "" {
		found, err := os.ReadFile(namespacePath)
		if err != nil {
			return nil, fmt.Errorf("the namespace of the Lease is not known: give --leader-election-namespace (%w)", err)
		}

		namespace = string(found)
	}

	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("failed to read the host's name: %w", err)
	}

	config = rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	// One request that hangs is not to cost the leadership.
	config.Timeout = max(time.Second, c.RenewDeadline/2)

	client, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client: %w", err)
	}

	return &lease{
		LeaseLock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: leaseName},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		validFor: c.RenewDeadline + c.RetryPeriod,
	}, nil
}

// Get implements resourcelock.Interface.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if l.isLost() {
		return nil, nil, errLeaseLost
	}

	return l.LeaseLock.Get(ctx)
}

// Create implements resourcelock.Interface.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(record, func() error { return l.LeaseLock.Create(ctx, record) })
}

// Update implements resourcelock.Interface.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(record, func() error { return l.LeaseLock.Update(ctx, record) })
}

func (l *lease) write(record resourcelock.LeaderElectionRecord, send func() error) error {
	if l.isLost() {
		return errLeaseLost
	}

	began := time.Now()

	if err := send(); err != nil {
		return err
	}

	if record.HolderIdentity == l.Identity() {
		l.renewed.Store(&began)
	}

	return nil
}

func (l *lease) isLost() bool {
	renewed := l.renewed.Load()

	return renewed != nil && time.Since(*renewed) >= l.validFor
}
