// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package read_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// FuzzPolicy has a policy that the API server may have let through, as one of another version does. Either it is an error, or
// its windows can be worked with.
func FuzzPolicy(f *testing.F) {
	f.Add(`{"maxUnavailable":"33%","windows":[{"days":["Fri"],"start":"22:00","end":"02:00","timeZone":"Europe/Berlin"}],"drain":{"timeout":"5m"}}`)
	f.Add(`{"maxUnavailable":"999999999999999999999%","windows":[{"days":["Fry"],"start":"24:00","timeZone":"../../etc/passwd"}]}`)
	f.Add(`{"maxUnavailable":-1,"drain":{"timeout":"-1s","forceAfter":"2562047h"},"nodeSelector":{"matchLabels":{"a b":"c"}}}`)

	f.Fuzz(func(t *testing.T, spec string) {
		object := &v1alpha1.RebootPolicy{}
		if json.Unmarshal([]byte(spec), &object.Spec) != nil {
			return
		}

		policy := read.PolicyFacts(object)
		if policy.Error != "" {
			return
		}

		now := time.Date(2026, time.March, 29, 1, 0, 0, 0, time.UTC)
		assert.Positive(t, policy.Drain.Timeout)

		reboot.OpenUntil(policy.Windows, now)

		if at, ok := reboot.NextOpening(policy.Windows, now, policy.Drain.Timeout); ok {
			assert.False(t, at.Before(now))
		}
	})
}

// FuzzNode has a node write anything into what the coordinator reads of it.
func FuzzNode(f *testing.F) {
	f.Add("8f0c", `{"bootID":"8f0c","wanted":true}`, `{"bootID":"8f0c","phase":"recovered"}`, `{"uid":"a","bootID":"8f0c"}`)
	f.Add("\x1b", `{`, `{"phase":"\u0000"}`, `x`)

	f.Fuzz(func(t *testing.T, bootID, agent, recovery, grant string) {
		object := &corev1.Node{}
		object.Status.NodeInfo.BootID = bootID
		object.Annotations = map[string]string{
			v1alpha1.AgentAnnotation: agent, specs.NodeAnnotation: recovery, v1alpha1.GrantAnnotation: grant,
		}

		node := read.NodeFacts(object)
		assert.Equal(t, grant == "", node.GrantUID == "", "of a grant it must be known that it is there")

		for text, limit := range map[string]int{
			node.BootID: 64, node.Agent.BootID: 64, node.Agent.Reason: 256, node.Agent.Problem: 256, node.Recovery.Message: 512,
		} {
			ctest.AssertPrintable(t, text, limit)
		}
	})
}
