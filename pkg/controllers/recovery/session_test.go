// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestWhatIsWrongWithTheAPIServerIsNamedOnceAndWaitedFor(t *testing.T) {
	t.Parallel()

	for name, problem := range map[string]func(*cluster) *error{
		"the server is away":              func(c *cluster) *error { return &c.away },
		"the kubeconfig cannot be loaded": func(c *cluster) *error { return &c.kubeError },
		"the watch fails":                 func(c *cluster) *error { return &c.watchError },
	} {
		t.Run(name, func(t *testing.T) {
			boot(t, func(m *machine) {
				*problem(m.cluster) = errors.New(name)
				m.upWith("cilium", leftover)
				after(12 * time.Second)
				assert.Equal(t, specs.PhaseWaiting, m.phase())
				assert.Equal(t, name, m.status().Message)

				written := m.versions()
				after(10 * time.Minute)
				assert.Equal(t, written, m.versions())

				m.cluster.set(func() { *problem(m.cluster) = nil })
				after(6 * time.Second)
				assert.Len(t, m.cluster.deleted(), 1)
			})
		})
	}
}

func TestAConnectionThatHasLastedIsFollowedByAnotherAtOnce(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.replaces = false
		m.cluster.away = errAway
		m.upWith("cilium", leftover)

		after(time.Minute) // the tries are seconds apart by now

		m.cluster.set(func() { m.cluster.away = nil })
		after(time.Minute)
		require.Equal(t, 1, m.cluster.watches())

		m.cluster.set(func() { m.cluster.away = errAway })
		after(time.Millisecond)
		require.Zero(t, m.cluster.watches())

		m.cluster.set(func() { m.cluster.away = nil })
		after(300 * time.Millisecond)
		assert.Equal(t, 1, m.cluster.watches())
	})
}

func TestARotatedCertificateIsReadAnew(t *testing.T) {
	boot(t, func(m *machine) {
		m.upWith("cilium", ready)
		require.Equal(t, 1, m.cluster.connections())

		// The kubelet rotates; its kubeconfig, and so the hash, stays as it is. The old certificate is refused from now on.
		m.cluster.set(func() { m.cluster.certificate, m.cluster.onDisk = 1, 1 })
		m.cluster.create("proxy", leftover)
		after(time.Second)

		assert.Equal(t, 2, m.cluster.connections())
		assert.Len(t, m.cluster.deleted(), 1)
	})
}

func TestACertificateThatIsRefusedForADeleteIsReadAnew(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.onDelete = func(context.Context, core.Pod) error {
			if m.cluster.connections() == 1 {
				return apierrors.NewUnauthorized("Unauthorized")
			}

			return nil
		}

		m.upWith("cilium", leftover)
		after(12 * time.Second)

		assert.Equal(t, 2, m.cluster.connections())
		assert.Len(t, m.cluster.deleted(), 1)
		assert.Equal(t, 1, m.daemonSet("cilium").Attempts)
	})
}

func TestANewKubeconfigMakesANewConnection(t *testing.T) {
	boot(t, func(m *machine) {
		m.up()
		m.kubeconfig("second")
		after(time.Second)

		assert.Equal(t, 2, m.cluster.connections())
		assert.Equal(t, 1, m.cluster.watches())
	})
}

func TestANewNodeNameStartsAllOver(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		other := m.upWith("cilium", leftover, func(pod *core.Pod) { pod.NodeName = "worker-9" })
		require.Len(t, m.cluster.deleted(), 1)

		m.nodename("worker-9", false)
		after(time.Second)

		assert.Equal(t, "worker-9", m.status().NodeName)
		assert.Contains(t, m.cluster.deleted(), other.Name)
		assert.Equal(t, other.Name, m.daemonSet("cilium").FailedPod)
		assert.Equal(t, 1, m.daemonSet("cilium").Attempts)
	})
}

func TestANodeObjectThatIsGoneIsNotAPodThatIsGone(t *testing.T) {
	boot(t, func(m *machine) {
		m.upWith("cilium", ready)
		m.cluster.set(func() { m.cluster.nodeGone = true })
		m.cluster.create("proxy", leftover)
		after(time.Minute)

		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Equal(t, `nodes "worker-1" not found`, m.status().Message)
		assert.Zero(t, m.daemonSet("proxy").DeletedAt)
		assert.Empty(t, m.cluster.deleted())

		m.cluster.set(func() { m.cluster.nodeGone = false })
		after(12 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
	})
}
