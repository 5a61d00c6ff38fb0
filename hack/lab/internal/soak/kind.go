// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"fmt"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/component"
)

// Kind is a kind of event, in words.
type Kind string

// The kinds of events.
const (
	// GracefulReboot and HardReboot are done by the lab, past everybody.
	GracefulReboot Kind = "graceful reboot"
	HardReboot     Kind = "hard reboot"
	// WantedReboot is asked for by the node's agent, because of a file.
	WantedReboot Kind = "reboot wanted by the node"
	// OrderedReboot is asked for with a NodeReboot, by a person.
	OrderedReboot Kind = "reboot ordered by a person"

	// SlowNetwork, CutNetwork and FrozenNetwork are between one client and the API
	// server.
	SlowNetwork   Kind = "slow network"
	CutNetwork    Kind = "cut network"
	FrozenNetwork Kind = "frozen network"
	// TooManyRequests, ServerErrors and Unavailable are what one client is answered:
	// 429, 500 and 503.
	TooManyRequests Kind = "every answer is 429"
	ServerErrors    Kind = "every answer is 500"
	Unavailable     Kind = "every answer is 503"
	// LostAnswers are those to what a client writes, which has its effect. SlowAnswers
	// trickle. TruncatedWatches end in the middle of an event.
	LostAnswers      Kind = "lost answers"
	SlowAnswers      Kind = "slow answers"
	TruncatedWatches Kind = "truncated watches"

	// ComponentStopped and ComponentKilled are a part of the control plane that is away,
	// and started again.
	ComponentStopped Kind = "stopped"
	ComponentKilled  Kind = "killed"
	// ReplicaKilled is a replica of the coordinator that is killed and started again,
	// ReplicaPaused one that gets no CPU and does not know of it.
	ReplicaKilled Kind = "replica killed"
	ReplicaPaused Kind = "replica paused"

	// KubeletKilled is a kubelet that the machine starts again, KubeletFrozen one that
	// hangs for a while.
	KubeletKilled Kind = "kubelet killed"
	KubeletFrozen Kind = "kubelet frozen"

	// BudgetBlocked is a PodDisruptionBudget that allows nothing for a while.
	BudgetBlocked Kind = "budget allows nothing"
	// ForeignCordon is a node that is cordoned by a person, and uncordoned.
	ForeignCordon Kind = "cordoned by a person"
	// RollingUpdate changes a DaemonSet.
	RollingUpdate Kind = "rolling update"
)

// scope is what is disturbed by an event.
type scope int

const (
	// nothing of rebound's has to wait for the event.
	nothing scope = iota
	// target is the node, or the client, that the event is about.
	target
	// everything asks the API server.
	everything
)

// rule is what the plan knows of a kind.
type rule struct {
	kind Kind
	// targets are what it may happen to, one at a time.
	targets []string
	// shortest and longest bound how long it lasts.
	shortest, longest time.Duration
	// pause is for how long the target is left alone afterwards.
	pause time.Duration
	// disturbs says for whom a recovery may take longer meanwhile.
	disturbs scope
}

// vital are the components without which there is no API, others the rest.
var (
	vital  = []string{string(component.APIServer), string(component.Etcd)}
	others = []string{string(component.ControllerManager), string(component.Scheduler)}
)

// restarted is about how long it takes until a kubelet is there again that was
// killed.
const restarted = 8 * time.Second

// application is the workload with a PodDisruptionBudget.
const application = "application"

// rules are the kinds of events. A client's time-outs are some ten seconds, so a
// fault of its network lasts up to that.
func rules() []rule {
	return []rule{
		{GracefulReboot, nodesOf(Machined, Agent, Stock), 0, 0, 25 * time.Second, target},
		{HardReboot, nodesOf(Machined, Agent, Stock), 0, 0, 25 * time.Second, target},
		{WantedReboot, nodesOf(Agent), 0, 0, 15 * time.Second, nothing},
		{OrderedReboot, nodesOf(Machined, Agent, Stock), 0, 0, 15 * time.Second, nothing},
		{SlowNetwork, clients(), 3 * time.Second, 10 * time.Second, 3 * time.Second, target},
		{CutNetwork, clients(), 2 * time.Second, 8 * time.Second, 3 * time.Second, target},
		{FrozenNetwork, clients(), 2 * time.Second, 10 * time.Second, 3 * time.Second, target},
		{TooManyRequests, clients(), 2 * time.Second, 8 * time.Second, 3 * time.Second, target},
		{ServerErrors, clients(), 2 * time.Second, 8 * time.Second, 3 * time.Second, target},
		{Unavailable, clients(), 2 * time.Second, 8 * time.Second, 3 * time.Second, target},
		{LostAnswers, clients(), 3 * time.Second, 10 * time.Second, 3 * time.Second, target},
		{SlowAnswers, clients(), 3 * time.Second, 10 * time.Second, 3 * time.Second, target},
		{TruncatedWatches, clients(), 3 * time.Second, 10 * time.Second, 3 * time.Second, target},
		{ComponentStopped, vital, 2 * time.Second, 6 * time.Second, 20 * time.Second, everything},
		{ComponentKilled, vital, 2 * time.Second, 6 * time.Second, 20 * time.Second, everything},
		{ComponentStopped, others, 2 * time.Second, 10 * time.Second, 10 * time.Second, nothing},
		{ComponentKilled, others, 2 * time.Second, 10 * time.Second, 10 * time.Second, nothing},
		{ReplicaKilled, replicas, time.Second, 5 * time.Second, 8 * time.Second, nothing},
		{ReplicaPaused, replicas, 2 * time.Second, 8 * time.Second, 8 * time.Second, nothing},
		{KubeletKilled, nodesOf(Machined, Agent, Stock), restarted, restarted, 5 * time.Second, target},
		{KubeletFrozen, nodesOf(Machined, Agent, Stock), 3 * time.Second, 10 * time.Second, 5 * time.Second, target},
		{BudgetBlocked, []string{application}, 5 * time.Second, 20 * time.Second, 5 * time.Second, nothing},
		{ForeignCordon, nodesOf(Machined, Agent, Stock), 3 * time.Second, 10 * time.Second, time.Second, nothing},
		{RollingUpdate, daemonSetNames(), 0, 0, 10 * time.Second, nothing},
	}
}

// daemonSetNames are those of the DaemonSets.
func daemonSetNames() []string {
	names := make([]string, daemonSetCount)

	for i := range names {
		names[i] = fmt.Sprintf("daemon-%02d", i)
	}

	return names
}
