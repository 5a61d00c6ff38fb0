// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import "fmt"

// Obstacle is what keeps the gate closed. The zero value, ObstacleNone, means that it is open.
type Obstacle int

// The obstacles, in the order in which they are looked for: the first one found is the one that is reported.
const (
	ObstacleNone Obstacle = iota // none
	// ObstacleDisabled: the machine does not register a Node, or runs without Kubernetes.
	ObstacleDisabled // disabled
	// ObstacleBoot: this boot's id or time cannot be read.
	ObstacleBoot // boot-unknown
	// ObstacleShutdown: the kubelet's lifecycle is being torn down, which comes before the signal that makes pods fail.
	ObstacleShutdown // shutdown
	// ObstacleStage: the machine is neither booting nor running.
	ObstacleStage // stage
	// ObstacleNodename: Talos has not decided on the node's name yet.
	ObstacleNodename // nodename
	// ObstacleKubeletStopped: the kubelet service does not run.
	ObstacleKubeletStopped // kubelet-stopped
	// ObstacleKubeletUnhealthy: the kubelet runs but has not passed its health check.
	ObstacleKubeletUnhealthy // kubelet-unhealthy
	// ObstacleLifecycle: the kubelet's lifecycle does not exist.
	ObstacleLifecycle // lifecycle
	// ObstacleLink: the API server cannot be used with the node's identity.
	ObstacleLink // api-server
	// ObstacleNodeUnread: the Node object has not been read yet.
	ObstacleNodeUnread // node-unread
	// ObstacleNotRegistered: the Node object is that of another boot.
	ObstacleNotRegistered // not-registered
	// ObstacleMachined: this is an agent, and machined of the same node has rebound as well.
	ObstacleMachined // machined
	// ObstacleNodeShutdown: the kubelet says on the Node object that it is being shut down. Where nothing else tells of a
	// shutdown, this is the first sign of one.
	ObstacleNodeShutdown // node-shutdown
)

// LocalObstacle looks at what Talos says, and returns the first obstacle with a line that names it.
//
// As long as there is one, there is no reason to talk to the API server at all.
func LocalObstacle(boot Boot, gate Gate) (Obstacle, string) {
	switch {
	case gate.SkipNodeRegistration:
		return ObstacleDisabled, "this machine does not register a Kubernetes node"
	case gate.Booted && gate.NodeName == "" && !gate.KubeletRunning:
		// Talos v1.14 can do without Kubernetes: it then decides on no name and has no kubelet, where others have both before
		// their boot sequence ends.
		return ObstacleDisabled, "this machine runs without Kubernetes"
	case boot.Error != "":
		return ObstacleBoot, boot.Error
	case boot.ID == "":
		return ObstacleBoot, "waiting for this boot's id"
	case gate.LifecycleTearingDown:
		return ObstacleShutdown, "the kubelet is being shut down"
	case gate.Stage == "":
		return ObstacleStage, "waiting for the machine's stage"
	case !gate.InService:
		return ObstacleStage, fmt.Sprintf("the machine is %s", gate.Stage)
	case gate.NodeName == "":
		return ObstacleNodename, "waiting for the node's name"
	case !gate.KubeletRunning:
		return ObstacleKubeletStopped, "waiting for the kubelet to run"
	case !gate.KubeletHealthy:
		return ObstacleKubeletUnhealthy, "waiting for the kubelet to be healthy"
	case !gate.LifecyclePresent:
		return ObstacleLifecycle, "waiting for the kubelet's lifecycle"
	default:
		return ObstacleNone, ""
	}
}

// NodeObstacle is what the Node object says: ObstacleNone only if the kubelet has registered in this boot and is not being
// shut down, and nobody else does the work. An empty boot id means that the object has not been read.
func NodeObstacle(settings Settings, boot Boot, name string, node Node) (Obstacle, string) {
	switch {
	case node.BootID == "":
		return ObstacleNodeUnread, fmt.Sprintf("reading node %q", name)
	case node.BootID != boot.ID:
		return ObstacleNotRegistered, fmt.Sprintf("waiting for the kubelet to register node %q in this boot", name)
	case settings.YieldsToMachined && node.HasMachined:
		return ObstacleMachined, fmt.Sprintf("machined of node %q has rebound, and this agent gives way to it", name)
	case node.ShuttingDown:
		return ObstacleNodeShutdown, fmt.Sprintf("the kubelet of node %q says that the node is shutting down", name)
	default:
		return ObstacleNone, ""
	}
}

// obstacle looks at everything.
func obstacle(f Facts) (Obstacle, string) {
	if found, message := LocalObstacle(f.Boot, f.Gate); found != ObstacleNone {
		return found, message
	}

	if f.Link.Error != "" {
		return ObstacleLink, f.Link.Error
	}

	return NodeObstacle(f.Settings, f.Boot, f.Gate.NodeName, f.Link.Node)
}
