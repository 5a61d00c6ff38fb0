// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// HostNone is where rebound runs on a node that has none.
const HostNone specs.Host = "none"

const (
	// recoveryTarget is the longest that a node with rebound may take.
	recoveryTarget = 10 * time.Second

	// The longest that the agent may take from the second reboot on is so many
	// times the floor, or so much more than the floor, whichever is longer. The
	// kubelet looks at its containers once a second: of two pods that are equally
	// fast, one may be Ready a second later. At the first reboot the DaemonSet
	// controller has no back-off yet and brings the pods back by itself, which
	// says nothing about the agent.
	floorFactor = 1.5
	floorSlack  = time.Second
)

// Report is what report.json has.
type Report struct {
	KubernetesVersion string   `json:"kubernetesVersion"`
	FloorSeconds      float64  `json:"floorSeconds"`
	Reboots           []Reboot `json:"reboots"`
	Agent             Usage    `json:"agent"`
	Audit             Audit    `json:"audit"`
}

// Reboot is how one node came through one reboot.
type Reboot struct {
	Reboot  int    `json:"reboot"`
	Node    string `json:"node"`
	Rebound bool   `json:"rebound"`
	// Host is what rebound runs in.
	Host specs.Host `json:"host"`
	// RecoverySeconds is the time from the healthy kubelet until all DaemonSet
	// pods were Ready; zero if they were Ready before.
	RecoverySeconds float64     `json:"recoverySeconds"`
	PodsDeleted     int         `json:"podsDeleted"`
	APIRequests     APIRequests `json:"apiRequests"`

	// Began is when the reboot did.
	Began time.Time `json:"-"`
}

// APIRequests counts the requests of rebound, from the beginning of the reboot
// until that of the next one.
type APIRequests struct {
	List   int `json:"list"`
	Watch  int `json:"watch"`
	Delete int `json:"delete"`
	Other  int `json:"other"`
}

// Total is how many there were.
func (requests APIRequests) Total() int {
	return requests.List + requests.Watch + requests.Delete + requests.Other
}

// Audit sums up what the API server's audit log has about rebound's deletes.
type Audit struct {
	DeletesByNodes             int `json:"deletesByNodes"`
	DeletesOfPodsNotFailed     int `json:"deletesOfPodsNotFailed"`
	DeletesNotOwnedByDaemonSet int `json:"deletesNotOwnedByDaemonSet"`
}

// NewReport counts what rebound did in each of the reboots, of which all nodes'
// were at the same moments, and the first came first.
func NewReport(version string, floor time.Duration, reboots []Reboot, agent Usage, records []lab.AuditRecord) *Report {
	report := &Report{KubernetesVersion: version, FloorSeconds: floor.Seconds(), Reboots: reboots, Agent: agent}

	for _, record := range records {
		if record.UserAgent != lab.ReboundUserAgent || !strings.HasPrefix(record.User, lab.NodeUserPrefix) {
			continue
		}

		if record.DeletesPod() {
			report.Audit.count(record.Pod)
		}

		// The last reboot of the node that had begun by then.
		for i := range slices.Backward(reboots) {
			if record.IsOfRebound(reboots[i].Node) && !record.Time.Before(reboots[i].Began) {
				reboots[i].count(record)

				break
			}
		}
	}

	return report
}

func (reboot *Reboot) count(record lab.AuditRecord) {
	switch record.Verb {
	case "list":
		reboot.APIRequests.List++
	case "watch":
		reboot.APIRequests.Watch++
	case "delete":
		reboot.APIRequests.Delete++
	default:
		reboot.APIRequests.Other++
	}

	if record.DeletesPod() {
		reboot.PodsDeleted++
	}
}

// count counts a delete. A pod that the log does not have counts as wrong.
func (audit *Audit) count(pod *corev1.Pod) {
	audit.DeletesByNodes++

	if pod == nil || pod.Status.Phase != corev1.PodFailed {
		audit.DeletesOfPodsNotFailed++
	}

	if pod == nil {
		audit.DeletesNotOwnedByDaemonSet++

		return
	}

	if owner := metav1.GetControllerOf(pod); owner == nil || owner.Kind != "DaemonSet" {
		audit.DeletesNotOwnedByDaemonSet++
	}
}

// Check says what rebound has failed to do.
func (report *Report) Check() error {
	var errs []error

	for _, reboot := range report.Reboots {
		errs = append(errs, reboot.check(report.agentTarget()))
	}

	if n := report.Audit.DeletesOfPodsNotFailed; n > 0 {
		errs = append(errs, fmt.Errorf("the audit log has %d deletes of pods that were not Failed", n))
	}

	if n := report.Audit.DeletesNotOwnedByDaemonSet; n > 0 {
		errs = append(errs, fmt.Errorf("the audit log has %d deletes of pods that no DaemonSet owned", n))
	}

	return errors.Join(errs...)
}

// agentTarget is the longest that the agent may take from the second reboot on.
func (report *Report) agentTarget() time.Duration {
	floor := duration(report.FloorSeconds)

	return max(time.Duration(floorFactor*float64(floor)), floor+floorSlack)
}

// check says whether a node with rebound took too long.
func (reboot *Reboot) check(agentTarget time.Duration) error {
	recovery := duration(reboot.RecoverySeconds)

	switch {
	case reboot.Rebound && recovery > recoveryTarget:
		return fmt.Errorf("reboot %d: %s has rebound and was whole %s after its kubelet was healthy, more than %s",
			reboot.Reboot, reboot.Node, show.Seconds(recovery), show.Seconds(recoveryTarget))
	case reboot.Host == specs.HostAgent && reboot.Reboot > 1 && recovery > agentTarget:
		return fmt.Errorf("reboot %d: %s has the agent and was whole %s after its kubelet was healthy, more than the %s that the floor allows",
			reboot.Reboot, reboot.Node, show.Seconds(recovery), show.Seconds(agentTarget))
	default:
		return nil
	}
}

// JSON returns the report as it is written.
func (report *Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("failed to encode report: %w", err)
	}

	return append(text, '\n'), nil
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
