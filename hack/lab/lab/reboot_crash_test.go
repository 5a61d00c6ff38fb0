// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func TestRebootIsGivenBackAfterBothReplicasWereKilled(t *testing.T) {
	s := newStage(t, "both", 2, worker)
	node := s.nodes[0]

	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Drain.Timeout = seconds(4) })
	s.stick(node)
	s.ask(node)
	s.awaitStuck(node)

	for _, replica := range s.replicas {
		require.NoError(t, replica.Kill())
	}

	for _, replica := range s.replicas {
		require.NoError(t, replica.Start(s.ctx))
	}

	s.awaitRestored(node, "Blocked")
}

func TestRebootIsGivenBackByWhoeverTakesOver(t *testing.T) {
	s := newStage(t, "restoring", 1, worker)
	node := s.nodes[0]

	s.setPolicy(func(policy *v1alpha1.RebootPolicySpec) { policy.Drain.Timeout = seconds(3) })
	s.stick(node)
	s.ask(node)

	leader := s.leader()
	s.awaitPhase(node, v1alpha1.PhaseRestoring, "")
	require.NoError(t, leader.Kill())
	require.NoError(t, leader.Start(s.ctx))

	s.awaitRestored(node, "Blocked")
}

// TestRebootSurvivesTwoLeadersAtOnce keeps what the first leader sends to a node
// in the network, until the second one has done all of it. What arrives then
// must change nothing.
func TestRebootSurvivesTwoLeadersAtOnce(t *testing.T) {
	for name, held := range map[string]func(*http.Request) bool{
		"a cordon arrives late": func(request *http.Request) bool {
			return apiproxy.Writes(request) && strings.HasPrefix(request.URL.Path, "/api/v1/nodes/")
		},
		"a slot is taken late": func(request *http.Request) bool {
			return apiproxy.Writes(request) && strings.Contains(request.URL.Path, "/"+v1alpha1.ResourceRebootBudgets+"/")
		},
		"a step is written late": func(request *http.Request) bool {
			return apiproxy.Writes(request) && strings.Contains(request.URL.Path, "/"+v1alpha1.ResourceNodeReboots+"/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "two-leaders", 0, worker, worker)
			nodes := s.nodes
			node, other := nodes[0], nodes[1]

			proxy, err := s.cluster.Proxy()
			require.NoError(t, err)

			first := s.addReplica(lab.CoordinatorOptions{Proxy: proxy})
			require.Equal(t, first, s.leader())

			// The Lease is held up as well, so that another one may have it.
			isHeld := func(requests []string) bool {
				for _, request := range requests {
					if !strings.Contains(request, "/leases/") {
						return true
					}
				}

				return false
			}

			proxy.Hold(func(request *http.Request) bool {
				return held(request) || apiproxy.Writes(request) && strings.Contains(request.URL.Path, "/leases/") && isHeld(proxy.Held())
			})
			s.ask(node)
			require.NoError(t, proxy.AwaitHeld(s.ctx, isHeld))

			s.addReplica(lab.CoordinatorOptions{})
			s.ask(other)
			s.awaitRebooted(node, other)
			s.awaitSlots()

			// With the finalizer goes the last that the second leader has to do.
			for _, done := range nodes {
				s.awaitReboot(done, func(r *v1alpha1.NodeReboot) bool { return len(r.Finalizers) == 0 })
			}

			t.Logf("arrives late: %q", proxy.Held())
			late := time.Now()
			proxy.Release()

			var arrived []lab.AuditRecord

			require.Eventually(t, func() bool {
				arrived = s.audit(func(record lab.AuditRecord) bool {
					return record.Time.After(late) && record.User == lab.CoordinatorAccount.User() && record.Resource != "leases" &&
						slices.Contains([]string{"create", "update", "patch", "delete"}, record.Verb)
				})

				return len(arrived) > 0
			}, 30*time.Second, 100*time.Millisecond, "nothing has arrived")

			for _, record := range arrived {
				assert.EqualValues(t, http.StatusConflict, record.Code, "%s %s", record.Verb, record.URI)
			}

			s.awaitRebooted(node, other)
			s.awaitSlots()
			assert.Len(t, node.Boots(), 2)
			assert.Len(t, other.Boots(), 2)
		})
	}
}
