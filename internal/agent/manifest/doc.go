// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package manifest renders what runs rebound's agent on a node: a static pod, the machine config patch that has it for
// Talos, or a systemd unit. It writes nothing; that is package install's business.
//
// One pod that the kubelet does not accept voids all static pods that come from the same URL, as those of Talos do,
// kube-apiserver's included (Kubernetes v1.36.3 pkg/kubelet/config/common.go:198). So whatever could make the pod
// invalid is refused here, and a test in hack/lab gives what is rendered to the kubelet's own decoder.
package manifest
