// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// TestTheKubeletIsAskedBeforeEveryDelete has a shutdown of which only the kubelet tells: Talos' own resources come first.
func TestTheKubeletIsAskedBeforeEveryDelete(t *testing.T) {
	boot(t, func(m *machine) {
		tries := 0

		m.cluster.onDelete = func(context.Context, core.Pod) error {
			tries++
			m.cluster.set(func() { m.cluster.shuttingDown = true })

			return errors.New("etcdserver: request timed out")
		}

		m.cluster.create("cilium", leftover)
		m.up()
		after(time.Minute)

		assert.Equal(t, 1, tries)
		assert.Equal(t, specs.PhaseWaiting, m.phase())
		assert.Contains(t, m.status().Message, "says that the node is shutting down")
		assert.Empty(t, m.daemonSet("cilium").LastError, "nothing is wrong with the pod")

		m.cluster.set(func() { m.cluster.onDelete, m.cluster.shuttingDown = nil, false })
		after(5 * time.Second)

		assert.Len(t, m.cluster.deleted(), 1, "the shutdown was cancelled")
		assert.Equal(t, 1, m.cluster.connections(), "and the connection was good all the time")
	})
}

// When a thousand nodes come back at once, each look counts. An answer that was there before a delete was due counts for
// nothing.
func TestDeletesThatAreDueTogetherShareOneLook(t *testing.T) {
	boot(t, func(m *machine) {
		m.cluster.reading = 10 * time.Millisecond
		m.cluster.onDelete = takes(time.Second)

		for i := range 5 {
			m.cluster.create(fmt.Sprintf("daemon-%d", i), leftover)
		}

		m.up()
		after(20 * time.Millisecond)
		require.Equal(t, 2, m.cluster.nodeReads, "one to see the kubelet register, one for four deletes")

		after(time.Minute)
		assert.Len(t, m.cluster.deleted(), 5)
		assert.Equal(t, 3, m.cluster.nodeReads, "the fifth was due a second later")
	})
}

// The look for the first pod is under way when the shutdown begins that costs the second one its life.
func TestALookThatBeganBeforeThePodFailedIsNotShared(t *testing.T) {
	boot(t, func(m *machine) {
		m.up()
		after(time.Second)

		m.cluster.set(func() { m.cluster.reading = time.Second })
		m.cluster.create("cilium", leftover)
		after(300 * time.Millisecond)
		m.cluster.set(func() { m.cluster.shuttingDown = true })
		after(200 * time.Millisecond)

		second := m.cluster.create("proxy", leftover)
		after(time.Minute)

		assert.NotContains(t, m.cluster.deleted(), second.Name)
		assert.Len(t, m.cluster.deleted(), 1, "what the first one is told was true when it was asked")
		assert.Equal(t, specs.PhaseWaiting, m.phase())
	})
}

// The first try fails. A look for another pod is under way when the shutdown begins, and the second try comes after that.
func TestARetryLooksAnew(t *testing.T) {
	boot(t, func(m *machine) {
		m.up()
		after(time.Second)

		m.cluster.set(func() {
			m.cluster.reading = time.Second
			m.cluster.onDelete = func(context.Context, core.Pod) error {
				if m.cluster.tries() == 1 {
					time.Sleep(500 * time.Millisecond)

					return errors.New("etcdserver: request timed out")
				}

				return nil
			}
		})

		first := m.cluster.create("cilium", leftover)

		after(1200 * time.Millisecond)
		require.Equal(t, 1, m.cluster.tries())
		m.cluster.create("proxy", leftover)
		after(100 * time.Millisecond)
		m.cluster.set(func() { m.cluster.shuttingDown = true })

		after(time.Minute)
		assert.NotContains(t, m.cluster.deleted(), first.Name)
		assert.Equal(t, specs.PhaseWaiting, m.phase())
	})
}

func TestAPanicInALookSaysNothingAboutThePod(t *testing.T) {
	boot(t, func(m *machine) {
		m.up()
		after(time.Second)
		m.cluster.set(func() { m.cluster.panics = "Node" })

		m.cluster.create("cilium", leftover)
		after(100 * time.Millisecond)
		assert.Empty(t, m.cluster.deleted())
		assert.Empty(t, m.daemonSet("cilium").LastError)
		assert.Equal(t, "panic: Node", m.status().Message)

		after(5 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
		assert.Equal(t, 2, m.cluster.connections())
	})
}

func TestAPodIsHeldUntilTheKubeletReports(t *testing.T) {
	boot(t, func(m *machine) {
		m.up()
		after(time.Second)
		m.cluster.create("cilium", func(pod *core.Pod) { pod.Failed, pod.Reason = true, "Terminated" })
		after(20 * time.Second)
		require.Empty(t, m.cluster.deleted())

		m.cluster.set(func() { m.cluster.reportedAt = time.Now() })
		after(5 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)

		reads := m.cluster.nodeReads
		m.cluster.become(t, "cilium", ready)
		after(20 * time.Second)
		assert.Equal(t, specs.PhaseRecovered, m.phase())
		assert.Equal(t, reads, m.cluster.nodeReads, "nobody needs the Node any more")
	})
}
