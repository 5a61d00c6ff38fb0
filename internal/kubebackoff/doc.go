// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package kubebackoff is about the back-off in which a DaemonSet controller waits before it deletes a Failed pod, seen from
// outside a node and with the rights of whoever runs a command: who waits, and three ways to end the wait.
//
// The back-off is in the memory of kube-controller-manager, by the DaemonSet's UID, its status.observedGeneration and the node
// (Kubernetes 1.36, pkg/controller/daemon/daemon_controller.go, failedPodsBackoffKey). Nobody can read it. So:
//
//   - Estimate says what follows from the times that the API has. It is an estimate.
//   - Clear deletes the Failed pods, by the rules of internal/recovery and no others. The back-off stays as it is.
//   - Reset gives a DaemonSet another generation, and so another key, without a change that any pod sees.
//   - PlanRestart says whether kube-controller-manager may be restarted, which forgets every back-off.
package kubebackoff
