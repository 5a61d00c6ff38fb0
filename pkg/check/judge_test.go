// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// says is the answer of a node that has a status.
func says(name string, phase specs.Phase, message string) check.Answer {
	return check.Answer{
		Node:    check.Node{Address: "10.5.0." + name[len(name)-1:]},
		Outcome: check.OutcomeStatus,
		Status:  &recovery.RecoveryStatusSpec{NodeName: name, Phase: phase, Message: message},
	}
}

// gives is the answer of a node that has none.
func gives(name string, outcome check.Outcome, err error) check.Answer {
	return check.Answer{Node: check.Node{Address: "10.5.0.9", Name: name}, Outcome: outcome, Err: err}
}

func TestJudgeANode(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name    string
		answer  check.Answer
		verdict check.Status
		reason  string
		cluster string
	}{
		{
			name:    "whose pods are back",
			answer:  says("worker-2", specs.PhaseRecovered, "DaemonSets: 3 recovered"),
			verdict: check.StatusPassed,
			reason:  "DaemonSets: 3 recovered",
			cluster: "1 node recovered",
		},
		{
			name:    "that waits for something",
			answer:  says("worker-2", specs.PhaseWaiting, "waiting for the kubelet to be healthy"),
			verdict: check.StatusWaiting,
			reason:  "waiting for the kubelet to be healthy",
			cluster: "worker-2: waiting for the kubelet to be healthy",
		},
		{
			name:    "whose pods are being replaced",
			answer:  says("worker-2", specs.PhaseRecovering, "kube-system/cilium: replacement cilium-x7k2p is Pending: ImagePullBackOff"),
			verdict: check.StatusWaiting,
			reason:  "kube-system/cilium: replacement cilium-x7k2p is Pending: ImagePullBackOff",
			cluster: "worker-2: kube-system/cilium: replacement cilium-x7k2p is Pending: ImagePullBackOff",
		},
		{
			name:    "with a pod that is stuck",
			answer:  says("worker-2", specs.PhaseDegraded, "kube-system/cilium: cannot delete cilium-x7k2p: held by finalizers"),
			verdict: check.StatusFailing,
			reason:  "kube-system/cilium: cannot delete cilium-x7k2p: held by finalizers",
			cluster: "worker-2: kube-system/cilium: cannot delete cilium-x7k2p: held by finalizers",
		},
		{
			name:    "that does not join Kubernetes",
			answer:  says("worker-2", specs.PhaseDisabled, "the machine does not register a node"),
			verdict: check.StatusPassed,
			reason:  "the machine does not register a node",
			cluster: "1 not part of Kubernetes",
		},
		{
			name:    "that gives no message",
			answer:  says("worker-2", specs.PhaseRecovering, ""),
			verdict: check.StatusWaiting,
			reason:  "recovering",
			cluster: "worker-2: recovering",
		},
		{
			name:    "that is newer than the check",
			answer:  says("worker-2", specs.Phase(17), "rehearsing"),
			verdict: check.StatusFailing,
			reason:  "its phase 17 is newer than this check: rehearsing",
			cluster: "worker-2: its phase 17 is newer than this check: rehearsing",
		},
		{
			name:    "that has just booted",
			answer:  gives("worker-2", check.OutcomeNotFound, nil),
			verdict: check.StatusWaiting,
			reason:  "no recovery status yet, it has just booted",
			cluster: "worker-2: no recovery status yet, it has just booted",
		},
		{
			name:    "that is stock",
			answer:  gives("worker-2", check.OutcomeUnsupported, nil),
			verdict: check.StatusSkipped,
			reason:  "it is without rebound",
			cluster: "nothing to check: 1 node is without rebound",
		},
		{
			name:    "whose Node says nothing about this boot",
			answer:  gives("worker-2", check.OutcomeDoubtful, errors.New("its report is of an earlier boot")),
			verdict: check.StatusWaiting,
			reason:  "its report is of an earlier boot",
			cluster: "worker-2: its report is of an earlier boot",
		},
		{
			name:    "that is down",
			answer:  gives("worker-2", check.OutcomeUnreachable, status.Error(codes.Unavailable, "dial tcp 10.5.0.9:50000: connect: no route to host")),
			verdict: check.StatusFailing,
			reason:  "unreachable: dial tcp 10.5.0.9:50000: connect: no route to host",
			cluster: "worker-2: unreachable: dial tcp 10.5.0.9:50000: connect: no route to host",
		},
		{
			name: "to which gRPC cannot connect",
			answer: gives("worker-2", check.OutcomeUnreachable, status.Error(codes.Unavailable,
				`connection error: desc = "transport: Error while dialing: dial tcp 10.5.0.9:50000: connect: no route to host"`)),
			verdict: check.StatusFailing,
			reason:  "unreachable: dial tcp 10.5.0.9:50000: connect: no route to host",
			cluster: "worker-2: unreachable: dial tcp 10.5.0.9:50000: connect: no route to host",
		},
		{
			name:    "that is down for a reason that is not the API's",
			answer:  gives("worker-2", check.OutcomeUnreachable, errors.New("no answer within 2s")),
			verdict: check.StatusFailing,
			reason:  "unreachable: no answer within 2s",
			cluster: "worker-2: unreachable: no answer within 2s",
		},
		{
			name:    "that refuses",
			answer:  gives("worker-2", check.OutcomeRefused, status.Error(codes.PermissionDenied, "not authorized")),
			verdict: check.StatusFailing,
			reason:  "refused: not authorized; reading takes the role os:reader",
			cluster: "worker-2: refused: not authorized; reading takes the role os:reader",
		},
		{
			name:    "behind an endpoint that does not forward",
			answer:  gives("worker-2", check.OutcomeRefused, status.Error(codes.PermissionDenied, "no request forwarding")),
			verdict: check.StatusFailing,
			reason:  "refused: no request forwarding; this endpoint is a worker, use a control plane node as endpoint",
			cluster: "worker-2: refused: no request forwarding; this endpoint is a worker, use a control plane node as endpoint",
		},
		{
			name:    "that has much to say",
			answer:  says("worker-2", specs.PhaseDegraded, strings.Repeat("x", 1000)),
			verdict: check.StatusFailing,
			reason:  strings.Repeat("x", 1000),
			cluster: "worker-2: " + strings.Repeat("x", 300) + "…",
		},
		{
			name:    "that was never asked",
			answer:  check.Answer{Node: check.Node{Address: "10.5.0.9"}},
			verdict: check.StatusFailing,
			reason:  "unreachable: no answer",
			cluster: "10.5.0.9: unreachable: no answer",
		},
		{
			name:    "whose answer is empty",
			answer:  check.Answer{Outcome: check.OutcomeStatus},
			verdict: check.StatusFailing,
			reason:  "the answer has no recovery status",
			cluster: "the endpoint: the answer has no recovery status",
		},
		{
			name:    "whose words would break the line and the terminal",
			answer:  says("worker-2", specs.PhaseDegraded, "cannot delete:\n\tadmission webhook \x1b[31mdenied\x00 the request\r\n"),
			verdict: check.StatusFailing,
			reason:  "cannot delete: admission webhook [31mdenied the request",
			cluster: "worker-2: cannot delete: admission webhook [31mdenied the request",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			verdict := check.Judge([]check.Answer{tc.answer})

			assert.Equal(t, tc.verdict, verdict.Nodes[0].Status)
			assert.Equal(t, tc.reason, verdict.Nodes[0].Reason)
			assert.Equal(t, tc.answer, verdict.Nodes[0].Answer)
			assert.Equal(t, tc.verdict, verdict.Status, "a cluster of one is as its node")
			assert.Equal(t, tc.cluster, verdict.Reason)
		})
	}
}

func TestJudgeACluster(t *testing.T) {
	t.Parallel()

	var (
		whole    = says("worker-1", specs.PhaseRecovered, "DaemonSets: 3 recovered")
		disabled = says("control-plane-2", specs.PhaseDisabled, "the machine does not register a node")
		waiting  = says("worker-3", specs.PhaseRecovering, "kube-system/cilium: waiting for the replacement of cilium-x7k2p")
		degraded = says("worker-4", specs.PhaseDegraded, "kube-system/cilium: cannot delete cilium-x7k2p: held by finalizers")
		stock    = gives("worker-5", check.OutcomeUnsupported, nil)
		fresh    = gives("worker-6", check.OutcomeNotFound, nil)
		refusing = gives("worker-7", check.OutcomeRefused, status.Error(codes.PermissionDenied, "not authorized"))
		down     = gives("worker-8", check.OutcomeUnreachable, status.Error(codes.Unavailable, "no route to host"))
	)

	for _, tc := range []struct {
		name    string
		answers []check.Answer
		status  check.Status
		reason  string
		settled bool
	}{
		{
			name:   "without nodes",
			status: check.StatusFailing,
			reason: "there are no nodes to check",
		},
		{
			name:    "that is whole",
			answers: []check.Answer{whole, disabled},
			status:  check.StatusPassed,
			reason:  "1 node recovered, 1 not part of Kubernetes",
			settled: true,
		},
		{
			name:    "that is whole as far as it can tell",
			answers: []check.Answer{whole, whole, stock},
			status:  check.StatusPassed,
			reason:  "2 nodes recovered, 1 left out, without rebound",
			settled: true,
		},
		{
			name:    "that cannot tell",
			answers: []check.Answer{stock, stock},
			status:  check.StatusSkipped,
			reason:  "nothing to check: 2 nodes are without rebound",
			settled: true,
		},
		{
			name:    "of stock nodes and one that is down is not skipped",
			answers: []check.Answer{stock, down},
			status:  check.StatusFailing,
			reason:  "worker-8: unreachable: no route to host",
		},
		{
			name:    "that waits for one",
			answers: []check.Answer{whole, waiting, stock},
			status:  check.StatusWaiting,
			reason:  "worker-3: kube-system/cilium: waiting for the replacement of cilium-x7k2p",
		},
		{
			name:    "names the failing before the waiting",
			answers: []check.Answer{waiting, fresh, degraded, down, whole},
			status:  check.StatusFailing,
			reason: "worker-4: kube-system/cilium: cannot delete cilium-x7k2p: held by finalizers; worker-8: unreachable: no route to host; " +
				"worker-3: kube-system/cilium: waiting for the replacement of cilium-x7k2p; worker-6: no recovery status yet, it has just booted",
		},
		{
			name:    "with more to say than there is room for",
			answers: []check.Answer{waiting, fresh, degraded, down, refusing, gives("worker-9", check.OutcomeNotFound, nil), whole},
			status:  check.StatusFailing,
			reason: "worker-4: kube-system/cilium: cannot delete cilium-x7k2p: held by finalizers; worker-7: refused: not authorized; reading takes the role os:reader; " +
				"worker-8: unreachable: no route to host; worker-3: kube-system/cilium: waiting for the replacement of cilium-x7k2p; and 2 more nodes",
		},
		{
			name:    "in which all refuse has nothing to wait for",
			answers: []check.Answer{refusing, refusing},
			status:  check.StatusFailing,
			reason:  "worker-7, worker-7: refused: not authorized; reading takes the role os:reader",
			settled: true,
		},
		{
			name:    "in which one refuses waits for the others",
			answers: []check.Answer{refusing, waiting},
			status:  check.StatusFailing,
			reason: "worker-7: refused: not authorized; reading takes the role os:reader; " +
				"worker-3: kube-system/cilium: waiting for the replacement of cilium-x7k2p",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			verdict := check.Judge(tc.answers)

			assert.Equal(t, tc.status, verdict.Status)
			assert.Equal(t, tc.reason, verdict.Reason)
			assert.Equal(t, tc.settled, verdict.Settled())
			assert.True(t, slices.IsSortedFunc(verdict.Nodes, func(a, b check.NodeVerdict) int {
				return strings.Compare(a.Name, b.Name)
			}), "the nodes are sorted by name")

			shuffled := slices.Clone(tc.answers)
			rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			assert.Equal(t, verdict.Reason, check.Judge(shuffled).Reason, "the order of the answers does not matter")
		})
	}
}

func TestALargeClusterFitsInALine(t *testing.T) {
	t.Parallel()

	var answers []check.Answer

	for i := range 500 {
		name := fmt.Sprintf("worker-%03d", i)

		switch {
		case i == 7:
			answers = append(answers, gives(name, check.OutcomeUnreachable, errors.New("no answer within 2s")))
		case i%2 == 0:
			answers = append(answers, gives(name, check.OutcomeNotFound, nil))
		default:
			answers = append(answers, says(name, specs.PhaseRecovering, fmt.Sprintf("kube-system/cilium: waiting for the replacement of cilium-%d", i)))
		}
	}

	assert.Equal(t, "worker-007: unreachable: no answer within 2s; "+
		"worker-000, worker-002, worker-004 and 247 more: no recovery status yet, it has just booted; "+
		"worker-001: kube-system/cilium: waiting for the replacement of cilium-1; "+
		"worker-003: kube-system/cilium: waiting for the replacement of cilium-3; "+
		"and 247 more nodes", check.Judge(answers).Reason)
}
