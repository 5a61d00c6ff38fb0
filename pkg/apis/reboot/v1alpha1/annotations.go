// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// AgentAnnotation of a Node is written by the agent on it: an AgentReport.
	AgentAnnotation = GroupName + "/agent"
	// GrantAnnotation of a Node is written by the coordinator: a Grant.
	GrantAnnotation = GroupName + "/grant"
	// CordonAnnotation of a Node says that its cordon is the coordinator's: "<UID of the NodeReboot>/<attempt>". Without it the
	// cordon is somebody else's and is never removed.
	CordonAnnotation = GroupName + "/cordoned"
	// RestoredAnnotation of a Node names the last attempt after which it was given back, in the same form. A late request of a
	// coordinator that has lost its leadership cannot cordon the node again, because the object has changed.
	RestoredAnnotation = GroupName + "/restored"
)

const (
	// maxReason bounds the reason of a report in bytes, maxBootID the boot id.
	maxReason = 256
	maxBootID = 64
)

// AgentReport is what the agent on a node says on its own Node object. It counts only if BootID is the Node's present one:
// the annotation survives a reboot.
//
// +kubebuilder:object:generate=false
type AgentReport struct {
	// BootID is the boot in which the agent runs.
	BootID string `json:"bootID"`
	// Wanted is whether the node wants to be rebooted, WantedSince since when, and Reason why.
	Wanted      bool      `json:"wanted,omitempty"`
	WantedSince time.Time `json:"wantedSince,omitzero"`
	Reason      string    `json:"reason,omitempty"`
	// Problem is why the agent cannot reboot the node, or could not when that was granted; empty while all is well. With one
	// no reboot is granted.
	Problem string `json:"problem,omitempty"`
}

// String returns the value of an AgentAnnotation.
func (r AgentReport) String() string { return encode(r) }

// ParseAgentReport reads the value of an AgentAnnotation. The node writes it, so its texts are cut to a bounded length and
// what could steer a terminal is left out.
func ParseAgentReport(text string) (AgentReport, error) {
	var report AgentReport

	if err := json.Unmarshal([]byte(text), &report); err != nil {
		return AgentReport{}, fmt.Errorf("failed to parse annotation %q: %w", AgentAnnotation, err)
	}

	report.BootID = specs.Printable(report.BootID, maxBootID)
	report.Reason = specs.Printable(report.Reason, maxReason)
	report.Problem = specs.Printable(report.Problem, maxReason)

	return report, nil
}

// Grant is the permission for one reboot. It counts only in the boot that it names, so an old one can never reboot twice.
//
// +kubebuilder:object:generate=false
type Grant struct {
	// UID is that of the NodeReboot.
	UID types.UID `json:"uid"`
	// BootID is the boot that may end.
	BootID string `json:"bootID"`
}

// String returns the value of a GrantAnnotation.
func (g Grant) String() string { return encode(g) }

// ParseGrant reads the value of a GrantAnnotation.
func ParseGrant(text string) (Grant, error) {
	var grant Grant

	if err := json.Unmarshal([]byte(text), &grant); err != nil {
		return Grant{}, fmt.Errorf("failed to parse annotation %q: %w", GrantAnnotation, err)
	}

	return grant, nil
}

func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "" // strings and times of this century
	}

	return string(text)
}
