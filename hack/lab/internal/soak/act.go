// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// insistLimit bounds what is tried again while the API server is away, on a slow
	// machine, and insistInterval is how often.
	insistLimit    = 2 * time.Minute
	insistInterval = 500 * time.Millisecond
)

// insist does something until it works, or ctx ends it, which is no error.
func insist(ctx context.Context, do func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, insistLimit)
	defer cancel()

	for {
		err := do(limited)
		if err == nil || ctx.Err() != nil {
			return nil
		}

		if !pause(limited, insistInterval) {
			if ctx.Err() != nil {
				return nil
			}

			return err
		}
	}
}

// act lets the event happen and returns when it is over. It ends early, as it is,
// when ctx is done.
func (s *stage) act(ctx context.Context, event Event) error {
	switch event.Kind {
	case GracefulReboot, HardReboot:
		return s.reboot(ctx, s.lab.Node(event.Target), event.Kind)
	case WantedReboot:
		return want(s.lab.Node(event.Target))
	case OrderedReboot:
		return s.order(ctx, event.Target)
	case ComponentStopped, ComponentKilled:
		return s.plane.suffer(ctx, component.Name(event.Target), event.Kind, event.Lasts)
	case ReplicaKilled, ReplicaPaused:
		return s.replicas[event.Target].suffer(ctx, event.Kind, event.Lasts)
	case KubeletKilled, KubeletFrozen:
		return disturbKubelet(ctx, s.lab.Node(event.Target), event.Kind, event.Lasts)
	case BudgetBlocked:
		return s.block(ctx, event.Lasts)
	case ForeignCordon:
		return s.cordon(ctx, event.Target, event.Lasts)
	case RollingUpdate:
		return s.update(ctx, event)
	default:
		disturb(ctx, s.proxies[event.Target], event.Kind, event.Lasts)

		return nil
	}
}

// reboot reboots a node past everybody, whatever it is about.
func (s *stage) reboot(ctx context.Context, node *lab.Node, kind Kind) error {
	if kind == GracefulReboot {
		// A machine that fails to shut down, for lack of an API server, reboots all the
		// same.
		node.Stop(ctx) //nolint:errcheck // as said
	}

	return insist(ctx, func(ctx context.Context) error {
		// It may not have registered when this is tried again.
		if err := node.Kill(); err != nil {
			return err
		}

		return node.Start(ctx)
	})
}

// disturbKubelet kills a kubelet, or freezes it for a while. It may be gone by
// itself at any time: nodes reboot.
func disturbKubelet(ctx context.Context, node *lab.Node, kind Kind, lasts time.Duration) error {
	begin, end := node.FreezeKubelet, node.ThawKubelet
	if kind == KubeletKilled {
		begin, end = node.KillKubelet, func() error { return nil }
	}

	if err := begin(); err != nil {
		return ignoreGone(err)
	}

	pause(ctx, lasts)

	return ignoreGone(end())
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil
	}

	return err
}

// want has the node's operating system want a reboot, as a package manager does.
// A machine that is down has no such file.
func want(node *lab.Node) error {
	if err := node.WantReboot(); !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	return nil
}

// order asks for a reboot, once more if the last one is done.
func (s *stage) order(ctx context.Context, node string) error {
	requested := metav1.NewTime(time.Now().Truncate(time.Second))

	return insist(ctx, func(ctx context.Context) error {
		return s.lab.Apply(ctx, &v1alpha1.NodeReboot{
			ObjectMeta: metav1.ObjectMeta{Name: node},
			Spec:       v1alpha1.NodeRebootSpec{Reason: "ordered", RequestedAt: &requested},
		})
	})
}

// block has the budget of the application allow nothing for a while.
func (s *stage) block(ctx context.Context, lasts time.Duration) error {
	limit := func(maxUnavailable int32) error {
		return insist(ctx, func(ctx context.Context) error {
			return s.lab.Apply(ctx, lab.DisruptionBudget(namespace, application, maxUnavailable))
		})
	}

	if err := limit(0); err != nil {
		return err
	}

	pause(ctx, lasts)

	return limit(1)
}

// cordon makes a node unschedulable for a while, unless it is already: then the
// cordon is somebody else's.
func (s *stage) cordon(ctx context.Context, name string, lasts time.Duration) error {
	ours, err := s.setSchedulable(ctx, name, false)
	if err != nil || !ours {
		return err
	}

	pause(ctx, lasts)

	_, err = s.setSchedulable(ctx, name, true)

	return err
}

// setSchedulable says whether it has changed anything.
func (s *stage) setSchedulable(ctx context.Context, name string, schedulable bool) (changed bool, err error) {
	nodes := s.lab.Client().CoreV1().Nodes()

	err = insist(ctx, func(ctx context.Context) error {
		node, err := nodes.Get(ctx, name, metav1.GetOptions{})
		if err != nil || node.Spec.Unschedulable != schedulable {
			return err
		}

		node.Spec.Unschedulable = !schedulable
		_, err = nodes.Update(ctx, node, metav1.UpdateOptions{})
		// Without an answer it may have had its effect.
		changed = !apierrors.IsConflict(err)

		return err
	})

	return changed, err
}

// update changes the template of a DaemonSet. The revision is the event's own.
func (s *stage) update(ctx context.Context, event Event) error {
	i := slices.Index(daemonSetNames(), event.Target)

	return insist(ctx, func(ctx context.Context) error {
		_, err := s.lab.ApplyDaemonSet(ctx, daemonSet(i, int(event.At.Milliseconds())))

		return err
	})
}
