// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/demo"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

var (
	began = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)
	used  = demo.Usage{ResidentBytes: 24 << 20, CPUSeconds: 0.75}
)

// reboots are two reboots, a minute apart.
func reboots(second float64) []demo.Reboot {
	return []demo.Reboot{
		{Reboot: 1, Node: "worker-a", Rebound: true, Host: specs.HostMachined, Began: began},
		{Reboot: 1, Node: "worker-b", Host: demo.HostNone, Began: began, RecoverySeconds: 4},
		{Reboot: 1, Node: "worker-c", Rebound: true, Host: specs.HostAgent, Began: began, RecoverySeconds: 4},
		{Reboot: 2, Node: "worker-a", Rebound: true, Host: specs.HostMachined, Began: began.Add(time.Minute), RecoverySeconds: second},
		{Reboot: 2, Node: "worker-b", Host: demo.HostNone, Began: began.Add(time.Minute), RecoverySeconds: 61},
		{Reboot: 2, Node: "worker-c", Rebound: true, Host: specs.HostAgent, Began: began.Add(time.Minute), RecoverySeconds: 0.5},
	}
}

// request is one of rebound's, that long after the first reboot began.
func request(after time.Duration, verb string, edits ...func(*lab.AuditRecord)) lab.AuditRecord {
	record := lab.AuditRecord{
		Time: began.Add(after), User: "system:node:worker-a", UserAgent: "rebound", Verb: verb, Resource: "pods", Code: 200,
	}

	for _, edit := range edits {
		edit(&record)
	}

	return record
}

// of makes a record that of the delete of a pod.
func of(phase corev1.PodPhase, kind string) func(*lab.AuditRecord) {
	return func(record *lab.AuditRecord) {
		record.Pod = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: kind, Controller: new(true)}}},
			Status:     corev1.PodStatus{Phase: phase},
		}
	}
}

func TestReportCountsTheRequestsOfReboundInTheirReboot(t *testing.T) {
	t.Parallel()

	report := demo.NewReport("v1.36.3", 2*time.Second, reboots(1), demo.Usage{}, []lab.AuditRecord{
		request(-time.Second, "watch"),
		request(0, "get"),
		request(time.Second, "watch"),
		request(61*time.Second, "list"),
		request(62*time.Second, "delete", of(corev1.PodFailed, "DaemonSet")),
		request(63*time.Second, "create"),
		request(64*time.Second, "delete", func(record *lab.AuditRecord) { record.Code = 404 }),
		request(65*time.Second, "delete", of(corev1.PodRunning, "DaemonSet"), func(record *lab.AuditRecord) { record.UserAgent = "kubelet" }),
		request(66*time.Second, "delete", of(corev1.PodFailed, "DaemonSet"), func(record *lab.AuditRecord) { record.User = "system:node:worker-c" }),
		request(67*time.Second, "delete", of(corev1.PodFailed, "DaemonSet"), func(record *lab.AuditRecord) { record.User = "system:node:worker-d" }),
	})

	require.Len(t, report.Reboots, 6)
	assert.Equal(t, demo.APIRequests{Watch: 1, Other: 1}, report.Reboots[0].APIRequests)
	assert.Zero(t, report.Reboots[1].APIRequests)
	assert.Zero(t, report.Reboots[2].APIRequests)
	assert.Equal(t, demo.APIRequests{List: 1, Delete: 2, Other: 1}, report.Reboots[3].APIRequests)
	assert.Equal(t, 1, report.Reboots[3].PodsDeleted)
	assert.Equal(t, demo.APIRequests{Delete: 1}, report.Reboots[5].APIRequests)
	assert.Equal(t, 1, report.Reboots[5].PodsDeleted)
	assert.Equal(t, demo.Audit{DeletesByNodes: 3}, report.Audit)
	assert.NoError(t, report.Check())
}

func TestReportFailsIf(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name   string
		second float64
		edit   func(*lab.AuditRecord)
		says   string
	}{
		{
			"a node with rebound took too long", 10.001, of(corev1.PodFailed, "DaemonSet"),
			"reboot 2: worker-a has rebound and was whole 10.0 s after its kubelet was healthy, more than 10.0 s",
		},
		{"a pod was not Failed", 0, of(corev1.PodRunning, "DaemonSet"), "the audit log has 1 deletes of pods that were not Failed"},
		{"a pod was of a Job", 0, of(corev1.PodFailed, "Job"), "the audit log has 1 deletes of pods that no DaemonSet owned"},
		{"a pod had no owner", 0, func(record *lab.AuditRecord) {
			record.Pod = &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}
		}, "the audit log has 1 deletes of pods that no DaemonSet owned"},
		{"a pod is not in the log", 0, func(*lab.AuditRecord) {}, "the audit log has 1 deletes of pods that were not Failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			report := demo.NewReport("v1.36.3", time.Second, reboots(tc.second), demo.Usage{}, []lab.AuditRecord{request(0, "delete", tc.edit)})

			assert.ErrorContains(t, report.Check(), tc.says)
		})
	}
}

func TestReportHoldsTheAgentToTheFloor(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name    string
		floor   time.Duration
		host    specs.Host
		reboot  int
		seconds float64
		says    string
	}{
		{"a short floor, a second more", time.Second, specs.HostAgent, 2, 2, ""},
		{"a short floor, longer", time.Second, specs.HostAgent, 2, 2.001, "reboot 2: worker-x has the agent and was whole 2.0 s after its kubelet was healthy, more than the 2.0 s that the floor allows"},
		{"a long floor, half as long again", 4 * time.Second, specs.HostAgent, 2, 6, ""},
		{"a long floor, longer", 4 * time.Second, specs.HostAgent, 3, 6.001, "more than the 6.0 s that the floor allows"},
		{"the first reboot, which the DaemonSet controller repairs", time.Second, specs.HostAgent, 1, 9, ""},
		{"the first reboot, too long for any host", time.Second, specs.HostAgent, 1, 10.001, "has rebound and was whole 10.0 s"},
		{"a floor that would allow more than any host may take", 9 * time.Second, specs.HostAgent, 2, 10.001, "has rebound and was whole 10.0 s"},
		{"machined", time.Second, specs.HostMachined, 2, 9, ""},
		{"no rebound", time.Second, demo.HostNone, 2, 100, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			err := demo.NewReport("v1.36.3", tc.floor, []demo.Reboot{{
				Reboot: tc.reboot, Node: "worker-x", Rebound: tc.host != demo.HostNone, Host: tc.host, RecoverySeconds: tc.seconds,
			}}, used, nil).Check()

			if tc.says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tc.says)
			}
		})
	}
}

func TestReportHasTheFieldsThatScriptsRead(t *testing.T) {
	t.Parallel()

	text, err := demo.NewReport("v1.36.3", 2*time.Second, reboots(1.5)[3:5], used, nil).JSON()
	require.NoError(t, err)

	assert.JSONEq(t, `{
		"kubernetesVersion": "v1.36.3",
		"floorSeconds": 2,
		"reboots": [{
			"reboot": 2, "node": "worker-a", "rebound": true, "host": "machined", "recoverySeconds": 1.5, "podsDeleted": 0,
			"apiRequests": {"list": 0, "watch": 0, "delete": 0, "other": 0}
		}, {
			"reboot": 2, "node": "worker-b", "rebound": false, "host": "none", "recoverySeconds": 61, "podsDeleted": 0,
			"apiRequests": {"list": 0, "watch": 0, "delete": 0, "other": 0}
		}],
		"agent": {"residentBytes": 25165824, "cpuSeconds": 0.75},
		"audit": {"deletesByNodes": 0, "deletesOfPodsNotFailed": 0, "deletesNotOwnedByDaemonSet": 0}
	}`, string(text))
	assert.True(t, json.Valid(text))
}

func TestTableHasARowForEachReboot(t *testing.T) {
	t.Parallel()

	var table bytes.Buffer

	require.NoError(t, demo.NewReport("v1.36.3", 2*time.Second, reboots(1), used, nil).WriteTable(&table))
	assert.Equal(t, `
seconds from a healthy kubelet until all DaemonSet pods are Ready (Kubernetes v1.36.3); the floor is 2.0

          rebound in   rebound  without  machined     agent  deleted by   deleted  requests of  requests
  reboot    machined  as agent  rebound  to floor  to floor    machined  by agent     machined  of agent
       1         0.0       4.0      4.0     0.0 x     2.0 x           0         0            0         0
       2         1.0       0.5     61.0     0.5 x     0.2 x           0         0            0         0

agent: 24.0 MiB resident, 0.75 s of CPU for the last boot
audit log: 0 pods deleted by nodes, 0 of them not Failed, 0 not owned by a DaemonSet
`, table.String())
}

func TestPageNeedsNothingElse(t *testing.T) {
	t.Parallel()

	report := demo.NewReport("v1.36.3", 2*time.Second, reboots(1), used, nil)

	curve, err := report.Plot()
	require.NoError(t, err)
	requireXML(t, curve)

	page, err := report.Page(curve)
	require.NoError(t, err)

	assert.Contains(t, string(page), "<svg")
	assert.Contains(t, string(page), `<td class="machined">1.0</td><td class="agent">0.5</td><td class="none">61.0</td>`)
	assert.Contains(t, string(page), "24.0 MiB")
	assert.NotContains(t, string(page), "<?xml")
	assert.Empty(t, regexp.MustCompile(`(?i)(src|href)=|url\(|@import`).FindAll(page, -1))
}

func TestPageSaysWhatReboundHasFailedToDo(t *testing.T) {
	t.Parallel()

	report := demo.NewReport("v1.36.3", 2*time.Second, reboots(60), used, nil)

	page, err := report.Page([]byte("<svg/>"))
	require.NoError(t, err)

	assert.Contains(t, string(page), `class="verdict failed"`)
	assert.Contains(t, string(page), "reboot 2: worker-a has rebound and was whole 60.0 s")
}

func requireXML(t *testing.T, document []byte) {
	t.Helper()

	for decoder := xml.NewDecoder(bytes.NewReader(document)); ; {
		if _, err := decoder.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)

			return
		}
	}
}
