// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"errors"
	"time"

	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Why a Node object says nothing about the present boot.
var (
	errUnreadable   = errors.New("its report cannot be read")
	errEarlierBoot  = errors.New("its report is of an earlier boot")
	errUnknownBoot  = errors.New("its report may be of an earlier boot")
	errUnregistered = errors.New("its Node is not known yet, it has just booted")
)

// Object is a Node object, as far as it tells how the recovery of a node stands.
type Object struct {
	// Name is that of the Node.
	Name string
	// Report is the value of its specs.NodeAnnotation; empty if it has none.
	Report string
	// NotReady is why the Node is not Ready; nil if it is.
	NotReady error
	// Boot is the boot that the node is in.
	Boot Boot
}

// Boot tells a boot from those before it.
type Boot struct {
	// ID is the kernel's id of the boot; empty if it is not known.
	ID string
	// Since is a time after the boot and before the kubelet's start, on the node's clock. It counts if ID is not known. Zero
	// means that it is not known either.
	Since time.Time
}

// Answer is what the object says about a node.
//
// A report survives a reboot, and so does a Node that is Ready for a while. So one that the node has recovered is an answer
// only if it is of the present boot and the Node is Ready. Of other reports, one that is known to be of an earlier boot is
// none.
func (object Object) Answer(node Node) Answer {
	if object.Report == "" {
		return Answer{Node: node, Outcome: OutcomeUnsupported}
	}

	report, err := specs.ParseNodeReport(object.Report)

	switch {
	case err != nil:
		return doubtful(node, errUnreadable)
	case report.Phase == specs.PhaseDisabled:
		return doubtful(node, errUnreadable) // there is a Node
	case object.Boot.ID != "" && report.BootID != object.Boot.ID:
		return doubtful(node, errEarlierBoot)
	case report.Phase != specs.PhaseRecovered:
	case object.Boot.ID == "" && !object.Boot.precedes(report.FinishedAt):
		return doubtful(node, errUnknownBoot)
	case object.NotReady != nil:
		return doubtful(node, object.NotReady)
	}

	return Answer{Node: node, Outcome: OutcomeStatus, Report: &report, Status: &recovery.RecoveryStatusSpec{
		BootID: report.BootID, NodeName: object.Name, Phase: report.Phase, Message: report.Message, FinishedAt: report.FinishedAt,
	}}
}

// precedes tells whether the boot is known to have begun before a time.
func (boot Boot) precedes(t time.Time) bool { return !boot.Since.IsZero() && t.After(boot.Since) }

func doubtful(node Node, err error) Answer {
	return Answer{Node: node, Outcome: OutcomeDoubtful, Err: err}
}
