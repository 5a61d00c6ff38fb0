// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// device is one that nothing can be done with until the driver is up.
const device = "example.com/accelerator"

// deviceAfter is how long that takes: long enough for several rejections, the
// first of which the kubelet tells only ten seconds after its start.
const deviceAfter = 20 * time.Second

// tale is what is done to a node.
type tale struct {
	// name is that of the file.
	name, story string
	options     []lab.NodeOption
	rebound     bool
	late        map[string]int64
	// tell does it. The DaemonSets are up at its start if it has any by then.
	tell func(s *stage) error
}

// tales are all histories that there are.
var tales = []tale{
	{
		name:  "graceful",
		story: "a node is rebooted gracefully, again and again, and has no rebound",
		tell:  func(s *stage) error { return s.setUpAnd(func() error { return s.rebootGracefully(6) }) },
	},
	{
		name:    "graceful-rebound",
		story:   "a node is rebooted gracefully, again and again, and has rebound",
		rebound: true,
		tell:    func(s *stage) error { return s.setUpAnd(func() error { return s.rebootGracefully(4) }) },
	},
	{
		name:  "hard",
		story: "a node loses its power twice",
		tell: func(s *stage) error {
			return s.setUpAnd(func() error { return errors.Join(s.losePower(), s.losePower()) })
		},
	},
	{
		name:    "late-device",
		story:   "after a graceful reboot the kubelet rejects a pod, as its device comes late",
		options: []lab.NodeOption{lab.WithDeviceAfter(device, deviceAfter)},
		late:    map[string]int64{"driver": deviceAfter.Milliseconds()},
		tell:    (*stage).waitForDevice,
	},
	{
		name:    "late-device-rebound",
		story:   "after a graceful reboot the kubelet rejects a pod, as its device comes late, and the node has rebound",
		options: []lab.NodeOption{lab.WithDeviceAfter(device, deviceAfter)},
		rebound: true,
		late:    map[string]int64{"driver": deviceAfter.Milliseconds()},
		tell:    (*stage).waitForDevice,
	},
	{
		name:    "deleted",
		story:   "a DaemonSet is deleted in the middle of a reboot",
		rebound: true,
		tell: func(s *stage) error {
			return s.setUpAnd(func() error { return s.rebootWhile(func() error { return s.deleteDaemonSet("proxy") }) })
		},
	},
	{
		name:  "updated",
		story: "a DaemonSet is updated in the middle of the third reboot in a row",
		tell: func(s *stage) error {
			return s.setUpAnd(func() error {
				return errors.Join(s.rebootGracefully(2), s.rebootWhile(func() error { return s.updateDaemonSet("proxy") }), s.rebootGracefully(1))
			})
		},
	},
	{
		name:  "kubelet-restart",
		story: "the kubelet is killed twice and started again in the same boot",
		tell: func(s *stage) error {
			return s.setUpAnd(func() error { return errors.Join(s.restartKubelet(), s.restartKubelet()) })
		},
	},
}

// stage is where one tale is told.
type stage struct {
	*recorder

	ctx    context.Context
	node   *lab.Node
	labels map[string]string
}

// setUpAnd tells a tale of two DaemonSets that are up.
func (s *stage) setUpAnd(tell func() error) error {
	if err := errors.Join(s.apply("cni", lab.Critical(), lab.HostNetwork()), s.apply("proxy")); err != nil {
		return err
	}

	if err := s.awaitReady(); err != nil {
		return err
	}

	return tell()
}

func (s *stage) apply(name string, opts ...lab.DaemonSetOption) error {
	_, err := s.cluster.ApplyDaemonSet(s.ctx, lab.DaemonSet(s.namespace, name, append(opts, lab.NodeSelector(s.labels))...))

	return err
}

func (s *stage) updateDaemonSet(name string) error {
	return s.apply(name, lab.Annotations(map[string]string{"lab.test/updated": "true"}))
}

func (s *stage) deleteDaemonSet(name string) error {
	if err := s.cluster.Client().AppsV1().DaemonSets(s.namespace).Delete(s.ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("failed to delete DaemonSet %q: %w", name, err)
	}

	return nil
}

func (s *stage) waitForDevice() error {
	if err := s.apply("driver", lab.Requests(device)); err != nil {
		return err
	}

	return errors.Join(s.awaitReady(), s.rebootGracefully(1))
}

func (s *stage) awaitReady() error {
	_, err := s.node.WaitDaemonSetPodsReady(s.ctx)

	return err
}

func (s *stage) rebootGracefully(times int) error {
	for range times {
		if err := s.rebootWhile(func() error { return nil }); err != nil {
			return err
		}
	}

	return nil
}

// rebootWhile does something while the machine is off.
func (s *stage) rebootWhile(act func() error) error {
	s.did(time.Now(), StepShutdown)

	if err := s.node.Stop(s.ctx); err != nil {
		return err
	}

	s.did(s.lastBoot().Down, StepDown)

	if err := act(); err != nil {
		return err
	}

	return s.comeBack(s.node.Start)
}

func (s *stage) losePower() error {
	if err := s.node.Kill(); err != nil {
		return err
	}

	s.did(s.lastBoot().Down, StepDown)

	return s.comeBack(s.node.Start)
}

func (s *stage) restartKubelet() error {
	resources, err := s.node.COSI()
	if err != nil {
		return err
	}

	s.did(time.Now(), StepKilled)

	if err = s.node.KillKubelet(); err != nil {
		return err
	}

	kubelet := v1alpha1.NewService("kubelet").Metadata()

	if _, err = resources.WatchFor(s.ctx, kubelet, state.WithEventTypes(state.Destroyed)); err != nil {
		return fmt.Errorf("failed to wait for the end of the kubelet: %w", err)
	}

	started, err := resources.WatchFor(s.ctx, kubelet, state.WithEventTypes(state.Created))
	if err != nil {
		return fmt.Errorf("failed to wait for another kubelet: %w", err)
	}

	s.did(started.Metadata().Created(), StepUp)

	return s.isBack()
}

// comeBack turns the machine on and waits until its pods are Ready.
func (s *stage) comeBack(start func(context.Context) error) error {
	if err := start(s.ctx); err != nil {
		return err
	}

	s.did(s.lastBoot().Up, StepUp)

	return s.isBack()
}

// isBack waits until the kubelet is healthy and the pods are Ready.
func (s *stage) isBack() error {
	healthy, err := s.node.WaitKubeletHealthy(s.ctx)
	if err != nil {
		return err
	}

	s.did(healthy, StepHealthy)

	return s.awaitReady()
}

func (s *stage) lastBoot() lab.Boot {
	boots := s.node.Boots()

	return boots[len(boots)-1]
}
